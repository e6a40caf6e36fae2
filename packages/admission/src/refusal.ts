// Which lanes are open at which level, and what a refusal tells the one who is refused.

import {
  ClusterError,
  LANES,
  LIMITS,
  type ErrorCode,
  type Lane,
  type PerLane,
  type SpaceId,
} from '@engram/model';
import { isAtLeast, type Pressure } from './pressure.ts';
import type { Cause, LaneSignal } from './signal.ts';
import type { SpaceShare } from './space-shares.ts';

/** `low` goes first; the levels of `high` are the lowest themselves (see `shard-pressure.ts`). */
const CLOSED_FROM: PerLane<Pressure> = {
  high: 'overloaded',
  normal: 'overloaded',
  low: 'critical',
};

export function isOpen(lane: Lane, level: Pressure): boolean {
  return !isAtLeast(level, CLOSED_FROM[lane]);
}

/** Whose fault it is: where another caller, space, partition or gateway may be taken all the same. */
type Scope = 'caller' | 'space' | 'partition' | 'gateway' | 'cluster';

export interface Refusal {
  readonly code: Extract<
    ErrorCode,
    | 'BACKPRESSURE'
    | 'RATE_LIMITED'
    | 'MEMORY_LIMIT'
    | 'PARTITION_UNAVAILABLE'
    | 'LOG_UNAVAILABLE'
    | 'LOG_FULL'
  >;
  readonly scope: Scope;
  readonly cause:
    | Exclude<Cause, 'none'>
    | 'share'
    | 'unserved'
    | 'signals'
    | 'log'
    | 'log-full'
    | 'publishes'
    | 'bytes'
    | 'loop'
    | 'rate'
    | 'concurrency';
  /** Of the space or the caller, where it is one of those. */
  readonly name?: string;
  /** Absent where the lane does not matter. */
  readonly lane?: Lane;
  readonly detail: string;
  readonly hint?: string;
  readonly retryAfterMs: number;
  /** False where somebody has to do something first. */
  readonly waitHelps: boolean;
  /** Observations a second that are applied meanwhile. */
  readonly drainRate?: number;
  /** A batch of so many observations fits, once it is taken again. */
  readonly batchMax?: number;
  /** Lanes that are taken at this moment. */
  readonly lanesOpen?: readonly Lane[];
}

/** Nobody is to come back sooner: a shorter pause would not let anything change. */
const RETRY_MS_MIN = 200;
/** Nor much later: by then something has changed, whatever was reckoned. */
const RETRY_MS_MAX = 600_000;
/** What only people can change is asked for less often. */
const RETRY_UNHELPED_MS = 5_000;
/** Until somebody else has taken over, or is back. */
export const RETRY_AWAY_MS = 2_000;
/** Of the pause, at most: who was refused at one time is not to come back at one time. */
const JITTER = 0.5;
/** A lane that has drained to here takes all who were refused. */
const DRAINED_SHARE = 0.5;
/** One batch is not to fill more of a lane than this. */
const BATCH_SHARE = 0.1;
/** Of the time that what waits may take; with less of it the numbers would not tell why. */
const LAG_TOLD = 0.1;

/** Up to half longer. @param random from 0 to 1 */
export function jittered(ms: number, random: () => number): number {
  const bounded = Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, ms));
  return Math.ceil(bounded * (1 + JITTER * random()));
}

/** What a shard's signal means to one whose lane it closes. */
export function refusalOf(
  lane: Lane,
  lanes: PerLane<LaneSignal>,
  shard: string,
  random: () => number,
): Refusal {
  const signal = lanes[lane];
  const { cause, waiting, lagMs, lagMaxMs, drainRate } = signal;
  const lanesOpen = LANES.filter((each) => isOpen(each, lanes[each].level));
  const common = { lane, lanesOpen, drainRate, scope: 'partition' } as const;
  switch (cause) {
    case 'memory':
      return {
        ...common,
        code: 'MEMORY_LIMIT',
        cause,
        detail: `${shard} is short of memory`,
        hint: 'add a shard, or delete what is not needed: deletes are always taken',
        retryAfterMs: jittered(RETRY_UNHELPED_MS, random),
        waitHelps: false,
      };
    case 'stalled':
      return {
        ...common,
        code: 'PARTITION_UNAVAILABLE',
        cause,
        detail: `${shard} applies nothing, though ${waiting} observations wait for it`,
        hint: "look at the shard's log: it is not too slow, it stands still",
        retryAfterMs: jittered(RETRY_UNHELPED_MS, random),
        waitHelps: false,
      };
    case 'lag':
    case 'none': {
      const fits = (drainRate * lagMaxMs * BATCH_SHARE) / 1_000;
      return {
        ...common,
        code: 'BACKPRESSURE',
        cause: 'lag',
        detail: backlogText(shard, signal),
        hint:
          lanesOpen.length === 0
            ? 'send more slowly; deletes are always taken'
            : `send more slowly; urgent observations may still come in the lane ${lanesOpen.join(' or ')}`,
        retryAfterMs: jittered(lagMs - lagMaxMs * DRAINED_SHARE, random),
        waitHelps: true,
        batchMax: batchOf(fits),
      };
    }
  }
}

/** The lane stays closed for a grace after it was full: then less waits than what closed it. */
function backlogText(shard: string, { waiting, lagMs, lagMaxMs, drainRate }: LaneSignal): string {
  if (lagMs < lagMaxMs * LAG_TOLD)
    return `more waited for ${shard} than it applies in time, until a moment ago`;
  return `what waits for ${shard} takes ${lagText(lagMs)}: ${waiting} observations, ${drainRate} are applied in a second`;
}

/** The batch that is worth sending where `observations` fit: whole ones, at least one, at most what a batch may hold. */
export function batchOf(observations: number): number {
  return Math.max(1, Math.min(LIMITS.batchCountMax, Math.floor(observations)));
}

/** What it means to a space that it has more of a lane waiting than is fair to the others. */
export function refusalOfSpace(
  space: SpaceId,
  lane: Lane,
  { waiting, lagMs }: SpaceShare,
  { drainRate }: LaneSignal,
  random: () => number,
): Refusal {
  return {
    code: 'BACKPRESSURE',
    scope: 'space',
    name: space,
    cause: 'share',
    lane,
    detail: `${waiting} observations of this space wait in the lane ${lane}, which leaves too little of it to other spaces`,
    hint: 'send more slowly: the space gets an equal share of what the shard applies',
    // Until half of them are applied, which is what the grace of a level allows for.
    retryAfterMs: jittered(lagMs * DRAINED_SHARE, random),
    waitHelps: true,
    drainRate,
    batchMax: batchOf(waiting * BATCH_SHARE),
  };
}

/** The log does not take anything at this moment. */
export function logAway(detail: string, random: () => number): Refusal {
  return {
    code: 'LOG_UNAVAILABLE',
    scope: 'cluster',
    cause: 'log',
    detail,
    retryAfterMs: jittered(RETRY_AWAY_MS, random),
    waitHelps: true,
  };
}

/** The log has no room, until somebody makes some or the shards have trimmed it. */
export function logFull(random: () => number): Refusal {
  return {
    code: 'LOG_FULL',
    scope: 'cluster',
    cause: 'log-full',
    detail: 'the log has no room',
    hint: 'raise ENGRAM_LOG_BYTES_MAX or add disk space; nothing that was accepted is lost',
    retryAfterMs: jittered(RETRY_UNHELPED_MS, random),
    waitHelps: false,
  };
}

/**
 * The error of a refusal; its details are members of the answer over HTTP.
 * @param reason what was thrown, where something was
 */
export function refusalError(refusal: Refusal, reason?: unknown): ClusterError {
  const { code, detail, hint, drainRate, batchMax, lanesOpen, ...rest } = refusal;
  return withoutStack(code, detail, {
    ...(hint === undefined ? {} : { hint }),
    ...(reason === undefined ? {} : { cause: reason }),
    details: {
      ...rest,
      ...(drainRate === undefined ? {} : { drainRate }),
      ...(batchMax === undefined ? {} : { batchMax }),
      ...(lanesOpen === undefined ? {} : { lanesOpen }),
    },
  });
}

/** Where a refusal comes from is known, and finding the stack took 7 % of the long turns of an overloaded gateway. */
function withoutStack(...args: ConstructorParameters<typeof ClusterError>): ClusterError {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return new ClusterError(...args);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** `350 ms`, `2.4 s`. */
export function lagText(lagMs: number): string {
  return lagMs < 1_000 ? `${Math.round(lagMs)} ms` : `${(lagMs / 1_000).toFixed(1)} s`;
}
