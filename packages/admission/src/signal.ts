// What a shard says of its load, to gateways and to whoever publishes straight to NATS. JSON, so that
// people can read it where it goes by.

import {
  isToken,
  LANES,
  perLane,
  type Lane,
  type MemberId,
  type PerLane,
  type SpaceId,
} from '@engram/model';
import { PRESSURES, type Pressure } from './pressure.ts';
import type { SpaceShare } from './space-shares.ts';

/**
 * What a level comes from: entries wait longer than they may (`lag`), memory is short, or entries wait
 * and nobody works at them (`stalled`). `none` where nothing presses.
 */
export const CAUSES = ['none', 'lag', 'memory', 'stalled'] as const;
export type Cause = (typeof CAUSES)[number];

export interface LaneSignal {
  readonly level: Pressure;
  /** Share of what the lane may hold; beyond 1 it holds more. */
  readonly fill: number;
  readonly cause: Cause;
  /** Observations that wait, in the log and in the shard. */
  readonly waiting: number;
  /** How long it takes to apply what waits. */
  readonly lagMs: number;
  /** Observations applied a second while some wait. */
  readonly drainRate: number;
  /** How long what waits may take to apply. */
  readonly lagMaxMs: number;
  /** Spaces that are pressed beside the lane, because they have more of it waiting than is fair. */
  readonly spaces: ReadonlyMap<SpaceId, SpaceShare>;
}

export interface ShardSignal {
  readonly member: MemberId;
  /** Of the process, so that a new one begins to count anew. */
  readonly startedAt: number;
  /** Rises with every signal of the process. */
  readonly count: number;
  readonly lanes: PerLane<LaneSignal>;
}

/** With as many spaces as a shard tells of there are some ten thousand. */
const SIGNAL_CHARS_MAX = 65_536;

export function encodeSignal(signal: ShardSignal): string {
  return JSON.stringify(signal, (_key, value: unknown) =>
    value instanceof Map ? (Object.fromEntries(value) as unknown) : value,
  );
}

/** Undefined for what no shard of this version says. */
export function decodeSignal(text: string): ShardSignal | undefined {
  if (text.length > SIGNAL_CHARS_MAX) return undefined;
  try {
    const { member, startedAt, count, lanes } = objectOf(JSON.parse(text));
    if (!isToken(member) || !isCount(startedAt) || !isCount(count)) return undefined;
    const given = objectOf(lanes);
    const decoded = LANES.map((lane) => decodeLane(objectOf(given[lane])));
    if (!decoded.every((lane) => lane !== undefined)) return undefined;
    const of = (lane: Lane) => decoded[LANES.indexOf(lane)]!;
    return { member: member as MemberId, startedAt, count, lanes: perLane(of) };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Whether a signal was made after another one of the same member. */
export function isNewer(signal: ShardSignal, known: ShardSignal | undefined): boolean {
  if (known === undefined) return true;
  if (signal.startedAt !== known.startedAt) return signal.startedAt > known.startedAt;
  return signal.count > known.count;
}

function decodeLane(given: Readonly<Record<string, unknown>>): LaneSignal | undefined {
  const { level, cause, fill, waiting, lagMs, drainRate, lagMaxMs } = given;
  const spaces = Object.entries(objectOf(given['spaces'] ?? {})).map(
    ([space, share]) => [space, objectOf(share)] as const,
  );
  if (!spaces.every(([space, share]) => isToken(space) && isShare(share))) return undefined;
  if (!isOneOf(PRESSURES, level) || !isOneOf(CAUSES, cause)) return undefined;
  const numbers = [fill, waiting, lagMs, drainRate, lagMaxMs];
  if (!numbers.every(isCount)) return undefined;
  return {
    ...({ level, cause, fill, waiting, lagMs, drainRate, lagMaxMs } as Omit<LaneSignal, 'spaces'>),
    spaces: new Map(spaces) as ReadonlyMap<unknown, unknown> as LaneSignal['spaces'],
  };
}

function isShare({ level, waiting, lagMs }: Readonly<Record<string, unknown>>): boolean {
  return isOneOf(PRESSURES, level) && isCount(waiting) && isCount(lagMs);
}

function isOneOf<T>(all: readonly T[], value: unknown): value is T {
  return all.some((each) => each === value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

/** @throws TypeError */
function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  throw new TypeError('not an object');
}
