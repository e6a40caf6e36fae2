import type { AckLevel, ItemError, Lane, Observation } from '@engram/model';
import type { CallOptions } from '../types.ts';

export interface ProducerOptions extends CallOptions {
  /** Of a batch, about; default 1 MiB. */
  readonly maxBatchBytes?: number;
  /** Observations of a batch; default 1,000. It is less while the cluster refuses. */
  readonly maxBatchCount?: number;
  /** How long an observation waits for others; default 20. */
  readonly lingerMs?: number;
  /** Batches under way at one time; default 4. Two with the same id never are. */
  readonly maxInFlight?: number;
  /** How long a batch may be refused, or nobody answer, before the producer fails; default 300,000. */
  readonly retryForMs?: number;
  /** How far a batch must be before its acknowledgement; default `logged`. */
  readonly ack?: AckLevel;
  /** Of observations that name none. */
  readonly lane?: Lane;
  /** Takes observations that are refused for good; without it they make the producer fail. */
  readonly onRejected?: (rejected: readonly Rejected[]) => void;
  /** From 0 to 1; Math.random unless a test says otherwise. */
  readonly random?: () => number;
}

/** An observation that the cluster refuses, and why. */
export interface Rejected {
  readonly observation: Observation;
  readonly error: ItemError;
}

/** A batch is in the log, or further. */
export interface Acknowledged {
  readonly accepted: number;
  readonly rejected: number;
  /** Token for `minPosition`; missing when nothing was accepted. */
  readonly position?: string;
  /** The level that was reached, which may be less than asked. */
  readonly ack?: AckLevel;
}

/** Everything that a producer wrote. */
export interface Produced {
  readonly accepted: number;
  readonly rejected: number;
  /** Of the latest batch that was accepted. */
  readonly position?: string;
}

/** The producer goes no further. What is neither acknowledged nor named here was not taken by `write`. */
export class ProducerFailure extends Error {
  override readonly name = 'ProducerFailure';
  /** Refused for good; the others of their batches are stored. At most 100 of a batch are named. */
  readonly rejected: readonly Rejected[];
  /** Not acknowledged: most are not stored, some may be. Complete once `flush` or `close` has thrown. */
  readonly unsent: readonly Observation[];

  constructor(cause: unknown, rejected: readonly Rejected[], unsent: readonly Observation[]) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.rejected = rejected;
    this.unsent = unsent;
    // Thousands of embeddings would be printed where nobody catches it, and stand in logs.
    for (const name of ['rejected', 'unsent'])
      Object.defineProperty(this, name, { enumerable: false });
  }
}
