// The causes that refusals have in `details.cause`, for people who meet one.

import type { ErrorCode } from './errors.ts';

/** What a cause means; what to do is the advice of its code, where that fits all of them. */
export interface Cause {
  /** The code of the answer that has it. */
  readonly code: ErrorCode;
  readonly title: string;
  /** What to do, as one or two sentences. */
  readonly advice: string;
}

const WAIT = 'Wait as long as Retry-After says, and send more slowly.';

/** Cause → the answer that has it; the same words as in README.md. */
export const CAUSES = {
  lag: {
    code: 'BACKPRESSURE',
    title: 'What waits for the shard takes longer than ENGRAM_LAG_…_MAX_MS',
    advice: `${WAIT} When it lasts, add a shard.`,
  },
  share: {
    code: 'BACKPRESSURE',
    title: 'The space has more waiting than is fair to the others, which are still taken',
    advice: WAIT,
  },
  loop: {
    code: 'BACKPRESSURE',
    title: 'The event loop of the gateway is busy',
    advice: 'Ask another gateway, or add one.',
  },
  publishes: {
    code: 'BACKPRESSURE',
    title: 'The gateway has as many publishes under way as ENGRAM_PUBLISHES_MAX',
    advice: 'Ask another gateway, or look whether NATS is slow.',
  },
  bytes: {
    code: 'BACKPRESSURE',
    title: 'The gateway has as many bytes of bodies under way as ENGRAM_INGEST_BYTES_MAX',
    advice: 'Send smaller batches, or ask another gateway.',
  },
  tails: {
    code: 'BACKPRESSURE',
    title: 'The gateway follows as many spaces as it can',
    advice: 'Ask another gateway, or end one of them.',
  },
  rate: {
    code: 'RATE_LIMITED',
    title: 'The space or the caller has had what its limit gives in a second',
    advice: `${WAIT} Limits are settings: ENGRAM_SPACE_…, ENGRAM_CALLER_… and ENGRAM_LIMITS_FILE.`,
  },
  concurrency: {
    code: 'RATE_LIMITED',
    title: 'The space or the caller has as many requests under way as its limit allows',
    advice: 'Wait for answers before the next request.',
  },
  memory: {
    code: 'MEMORY_LIMIT',
    title: 'The shard is out of memory',
    advice: 'Add a shard, or delete what is not needed: deletes are always taken.',
  },
  stalled: {
    code: 'PARTITION_UNAVAILABLE',
    title: 'The shard is not slow: it applies nothing',
    advice: 'Look at the log of the shard, and start it anew.',
  },
  unserved: {
    code: 'PARTITION_UNAVAILABLE',
    title: 'No shard serves the space',
    advice: 'Start a shard, or wait until one has taken the partition over.',
  },
  signals: {
    code: 'PARTITION_UNAVAILABLE',
    title: 'Nothing is heard of the shards of the space',
    advice: 'Look whether they run and reach NATS: engram doctor.',
  },
  log: {
    code: 'LOG_UNAVAILABLE',
    title: 'NATS is away',
    advice: 'Repeat it with the same Idempotency-Key; when it lasts, look at NATS: engram doctor.',
  },
  'log-full': {
    code: 'LOG_FULL',
    title: 'The log has no room',
    advice: 'Raise ENGRAM_LOG_BYTES_MAX, or give NATS more disk.',
  },
} as const satisfies Record<string, Cause>;

export type CauseName = keyof typeof CAUSES;

export function isCause(value: string): value is CauseName {
  return Object.hasOwn(CAUSES, value);
}
