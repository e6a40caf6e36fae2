// Follows what is written into a space, for clients that look on.
//
//   T1. Every entry behind the beginning is told once, in the order of the log, or the end says why not.
//   T2. No more than `tailsMax` are followed at one time; each holds a few entries and waits for its reader.
//   T3. The position of a line is one from which nothing is missed: behind an entry only with its last line.
//   T4. No entry is told by what a space was: where it was made anew, the end says so first.

import {
  followEntries,
  sequenceAt,
  streamHead,
  stripeOf,
  type LogConnection,
  type PartitionRegister,
  type SpaceDirectory,
} from '@engram/log';
import {
  ClusterError,
  formatPosition,
  partitionOf,
  perLane,
  type PartitionId,
  type Position,
  type SpaceConfig,
} from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
import { linesOf, type EntryLine } from './entry-lines.ts';

export interface TailerOptions {
  readonly connection: LogConnection;
  readonly register: PartitionRegister;
  readonly directory: Pick<SpaceDirectory, 'find'>;
  readonly partitionCount: number;
  readonly stripeCount: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface TailQuery {
  /** Everything behind it; or from a time on; else from now on. */
  readonly after?: Position;
  readonly sinceMs?: number;
  readonly withEmbeddings: boolean;
  readonly signal: AbortSignal;
}

type TailLine =
  { readonly start: { readonly position: string } } | (EntryLine & { readonly position: string });

/** Lines of an entry; empty now and then while nothing comes, so that a silent line is noticed. */
export type TailPart = Iterable<TailLine>;

export interface Tail {
  readonly parts: AsyncGenerator<TailPart, never>;
  /** Ends it, also one that nobody began to read. */
  close(): void;
}

const TAILS_MAX = 32;
const IDLE_MS = 5_000;
const BUSY_RETRY_MS = 5_000;
/** Until the log, which told an entry a moment ago, is asked again. */
const AWAY_RETRY_MS = 500;

export class Tailer {
  readonly #options: TailerOptions;
  #count = 0;

  constructor(options: TailerOptions) {
    this.#options = options;
  }

  /**
   * Begins to follow a space; to be closed.
   * @throws ClusterError BACKPRESSURE (T2), POSITION_EXPIRED, INVALID_POSITION, LOG_UNAVAILABLE
   */
  async follow(config: SpaceConfig, query: TailQuery): Promise<Tail> {
    if (this.#count >= TAILS_MAX)
      throw new ClusterError('BACKPRESSURE', `this gateway follows ${TAILS_MAX} spaces already`, {
        hint: 'ask another gateway, or end one of them',
        details: { scope: 'gateway', cause: 'tails', retryAfterMs: BUSY_RETRY_MS, waitHelps: true },
      });
    this.#count++;
    try {
      const partition = partitionOf(config.space, this.#options.partitionCount);
      const first = await this.#first(config, partition, query);
      const parts = this.#parts(config, partition, first, query);
      let isOpen = true;
      const close = () => {
        if (isOpen) this.#count--;
        isOpen = false;
        void parts.return(undefined as never).catch(() => undefined);
      };
      return { parts, close };
    } catch (error) {
      this.#count--;
      throw error;
    }
  }

  async #first(
    config: SpaceConfig,
    partition: PartitionId,
    { after, sinceMs }: TailQuery,
  ): Promise<number> {
    const { connection, stripeCount, register } = this.#options;
    const stripe = stripeOf(partition, stripeCount);
    const floor = config.afterSequence + 1;
    if (after === undefined && sinceMs === undefined)
      return Math.max(floor, (await streamHead(connection, stripe)) + 1);
    if (after === undefined)
      return Math.max(floor, await sequenceAt(connection, stripe, sinceMs ?? 0));
    if (after.partition !== partition)
      throw new ClusterError('INVALID_POSITION', 'the position is one of another space', {
        pointer: '#position',
      });
    const first = Math.max(floor, Math.min(...Object.values(after.sequences)) + 1);
    const found = await register.find(partition);
    const trimmedTo = found?.record?.trimmedTo ?? 0;
    if (first <= trimmedTo)
      throw new ClusterError('POSITION_EXPIRED', 'the log was trimmed behind the position', {
        pointer: '#position',
        hint: 'begin from now, or from a later time with since; recalls still find what was trimmed',
      });
    return first;
  }

  async *#parts(
    config: SpaceConfig,
    partition: PartitionId,
    first: number,
    { after, withEmbeddings, signal }: TailQuery,
  ): AsyncGenerator<TailPart, never> {
    const { connection, stripeCount, clock, logger } = this.#options;
    const stripe = stripeOf(partition, stripeCount);
    // Of a position that was given, some lanes may be further than others.
    const known = perLane((lane) => after?.sequences[lane] ?? 0);
    const positionAt = (sequence: number) =>
      formatPosition({ partition, sequences: perLane((lane) => Math.max(known[lane], sequence)) });
    let position = positionAt(first - 1);
    yield [{ start: { position } }];
    const common = { stripe, partition, space: config.space, clock, logger };
    const options = { ...common, first, idleMs: IDLE_MS, signal };
    let sameTo = first - 1;
    for await (const entry of followEntries(connection, options)) {
      if (entry === undefined) {
        await this.#requireSame(config, 0);
        yield [];
      } else if (entry.sequence > known[entry.lane]) {
        if (entry.sequence > sameTo) sameTo = await this.#sameTo(config, stripe, signal);
        const before = position;
        position = positionAt(entry.sequence);
        yield withPositions(linesOf(entry, config, withEmbeddings), before, position);
      }
    }
    throw new Error('a log has no end');
  }

  /**
   * T4: up to here the log is of the space as it was known. What the log has by now was stored before the
   * space is asked for, and another one begins behind all that. An outage is waited for.
   * @throws ClusterError SPACE_NOT_FOUND; the signal's reason
   */
  async #sameTo(config: SpaceConfig, stripe: number, signal: AbortSignal): Promise<number> {
    const { connection, clock } = this.#options;
    for (;;)
      try {
        const head = await streamHead(connection, stripe);
        await this.#requireSame(config, config.afterSequence + 1);
        return head;
      } catch (error) {
        if (ClusterError.from(error).code !== 'LOG_UNAVAILABLE') throw error;
        await clock.sleep(AWAY_RETRY_MS, signal);
        signal.throwIfAborted();
      }
  }

  /**
   * @param behind where no space begins behind this, the bucket is asked rather than the copy of it
   * @throws ClusterError SPACE_NOT_FOUND, LOG_UNAVAILABLE
   */
  async #requireSame(config: SpaceConfig, behind: number): Promise<void> {
    const now = await this.#options.directory.find(config.space, behind);
    if (now?.afterSequence === config.afterSequence) return;
    const what = now === undefined ? 'deleted' : 'made anew';
    throw new ClusterError('SPACE_NOT_FOUND', `the space was ${what} meanwhile`);
  }
}

/** T3 */
function* withPositions(
  lines: Iterable<EntryLine>,
  before: string,
  after: string,
): Generator<TailLine, void> {
  let held: EntryLine | undefined;
  for (const line of lines) {
    if (held !== undefined) yield { ...held, position: before };
    held = line;
  }
  if (held !== undefined) yield { ...held, position: after };
}
