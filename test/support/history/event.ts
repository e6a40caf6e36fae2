// What clients did and saw. The checker believes nothing else, so it shares no code with the product.

export const LANES = ['high', 'normal', 'low'] as const;
export type Lane = (typeof LANES)[number];

/**
 * `ok`: acknowledged. `rejected`: the cluster said no, so it must leave no trace. `unknown`: no answer,
 * or one that promises nothing; it may be in or out, for ever.
 */
export type Outcome = 'ok' | 'rejected' | 'unknown';

/** Ticks order the events of a recorder; they are no time. */
interface Span {
  readonly begun: number;
  readonly ended: number;
}

/** One observation put, or one delete. What is published twice is written down twice. */
export interface WriteEvent extends Span {
  readonly kind: 'put' | 'delete';
  readonly space: string;
  readonly id: string;
  readonly lane: Lane;
  /** Of a put: unique in the history, in the metadata, and what its embedding is made from. */
  readonly version: number;
  /** The request it was part of: its writes share one entry of the log. */
  readonly request: number;
  readonly outcome: Outcome;
  /** Place in the log; of acknowledged writes only. */
  readonly sequence?: number;
}

/** An entry that no index can take, published past the gateways. */
export interface PoisonEvent extends Span {
  readonly kind: 'poison';
  readonly request: number;
  readonly outcome: Outcome;
  readonly sequence?: number;
}

/** An observation as an answer showed it. */
export interface Seen {
  readonly id: string;
  readonly version: number;
  /** Whether the embedding is, bit for bit, the one that was made from the version. */
  readonly isIntact: boolean;
}

/** An answer to a recall or a read; those without an answer are no events. */
export interface ReadEvent extends Span {
  readonly kind: 'read';
  readonly space: string;
  /** Of these ids the answer shows all there is: of the whole space, of some, or of none. */
  readonly covers: 'space' | readonly string[];
  readonly seen: readonly Seen[];
  readonly minPosition?: string;
  readonly asOf?: string;
  /** Missing where no shard answered. */
  readonly watermark?: string;
}

export type HistoryEvent = WriteEvent | PoisonEvent | ReadEvent;

export function isWrite(event: HistoryEvent): event is WriteEvent {
  return event.kind === 'put' || event.kind === 'delete';
}

/** What is there when all is quiet. */
export interface FinalSpace {
  /** As the cluster counts. */
  readonly count: number;
  /** As one recall of everything lists it, repetitions included. */
  readonly listed: readonly Seen[];
  /** As reads by id found them; undefined where there was none. */
  readonly got: ReadonlyMap<string, Seen | undefined>;
}

export interface FinalState {
  readonly spaces: ReadonlyMap<string, FinalSpace>;
  /** Sequences of the entries that are dead letters. */
  readonly deadLetters: ReadonlySet<number>;
}

export const RULES = {
  missing: 'an acknowledged observation is missing',
  duplicated: 'an id is there twice',
  phantom: 'something is there that was never written',
  refused: 'a refused write left a trace',
  altered: 'an embedding is not the one that was written',
  order: 'a write with a lower sequence won',
  resurrected: 'a deleted observation is there',
  count: 'the count is not the number of observations',
  stale: 'a read with minPosition answered from before it',
  future: 'a read with asOf saw something newer',
  snapshot: 'a read with asOf lacks or has what its position says it must not',
  unstable: 'the same asOf was answered differently',
  watermark: 'an answer lacks what its watermark promises',
  'dead-letter': 'a dead letter is missing, or there is one too many',
  'sequence-reused': 'two entries were acknowledged with one sequence',
} as const;

export type Rule = keyof typeof RULES;

export interface Violation {
  readonly rule: Rule;
  readonly detail: string;
}
