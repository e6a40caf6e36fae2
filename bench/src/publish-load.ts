import { inThread } from './thread.ts';

/** Ways to bring the same batches into the log, each acknowledged by it. */
export const WAYS = ['bare', 'http', 'nats'] as const;
export type Way = (typeof WAYS)[number];

export interface PublishLoadOptions {
  readonly way: Way;
  readonly url: string;
  readonly natsUrl: string;
  readonly space: string;
  /** One after another; of each batch `dimension` times `batchCount` floats. */
  readonly slab: Float32Array;
  readonly dimension: number;
  readonly batchCount: number;
  /** Each sends its next batch as soon as the one before was acknowledged. */
  readonly senders: number;
  /** Before the time that is counted. */
  readonly warmUpMs: number;
  readonly durationMs: number;
}

export interface PublishTally {
  readonly batches: number;
  /** Refused, after which the sender waits as it is told, or failed. */
  readonly failed: number;
  readonly elapsedMs: number;
}

/** Runs the load to its end, in a thread of its own. */
export function publishLoad(
  options: PublishLoadOptions,
  signal: AbortSignal,
): Promise<PublishTally> {
  return inThread(new URL('./publish-thread.js', import.meta.url), options, signal);
}
