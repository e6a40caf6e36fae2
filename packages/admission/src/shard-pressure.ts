// From what a shard measures of itself to what it says: one state machine for each lane.
//
//   Q1. A lower lane is never less pressed than a lane above it: `low` is refused first, `high` last.
//   Q2. What waits in the queues and what waits in the log is one backlog, because the queues are filled
//       up from the log: a full queue alone says nothing. It is measured as the time that it takes.
//   Q3. A lane at which nobody works says so, however little waits.

import {
  LANES,
  perLane,
  type Lane,
  type MemberId,
  type PerLane,
  type SpaceId,
} from '@engram/model';
import { DrainRate } from './drain-rate.ts';
import {
  nextPressure,
  NO_PRESSURE,
  PRESSURE_FROM,
  pressureOf,
  type PressureState,
} from './pressure.ts';
import type { Cause, LaneSignal, ShardSignal } from './signal.ts';
import { SpaceShares } from './space-shares.ts';

/** So long without an entry applied while some wait, and nobody works at them. */
const STALLED_MS = 5_000;

export interface LaneLoad {
  /** Observations that wait, in the log and in the shard. */
  readonly waiting: number;
  /** Observations applied since the process began. */
  readonly applied: number;
  /** Of what waits, each space's part; also of those that have nothing waiting but use the lane. */
  readonly spaces: ReadonlyMap<SpaceId, number>;
  /** Observations that the shard takes from the log before they are applied. */
  readonly room: number;
}

export interface MemoryLoad {
  readonly state: 'normal' | 'soft' | 'hard';
  readonly bytes: number;
  readonly softBytes: number;
  readonly hardBytes: number;
}

export interface ShardPressureOptions {
  readonly member: MemberId;
  readonly startedAt: number;
  /** How long what waits in a lane may take to apply. */
  readonly lagMaxMs: PerLane<number>;
  readonly graceMs: number;
}

interface LaneState {
  readonly rate: DrainRate;
  readonly shares: SpaceShares;
  pressure: PressureState;
  /** Of the level, which may outlast it by the grace. */
  cause: Cause;
  waiting: number;
  applied: number;
  /** When something was last applied, or nothing waited. */
  movedAtMs: number;
}

interface Fill {
  readonly fill: number;
  readonly cause: Cause;
}

export class ShardPressure {
  readonly #options: ShardPressureOptions;
  #lanes: PerLane<LaneState> | undefined;
  #atMs = 0;
  #count = 0;

  constructor(options: ShardPressureOptions) {
    this.#options = options;
  }

  /** What there is to say now; to be called several times a second. */
  next(loads: PerLane<LaneLoad>, memory: MemoryLoad, nowMs: number): ShardSignal {
    const { member, startedAt, graceMs, lagMaxMs } = this.#options;
    const lanes = (this.#lanes ??= perLane((lane) => newLane(loads[lane], graceMs, nowMs)));
    const elapsedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    let above: Fill = { fill: 0, cause: 'none' };
    const signals: Partial<Record<Lane, LaneSignal>> = {};
    for (const lane of LANES) {
      const state = lanes[lane];
      noteLoad(state, loads[lane], elapsedMs, nowMs);
      const lagMs = (state.waiting / Math.max(1, state.rate.value)) * 1_000;
      above = most(above, laneFill(lane, state, lagMs / lagMaxMs[lane], memory, nowMs)); // Q1
      state.pressure = nextPressure(state.pressure, above.fill, nowMs, graceMs);
      const { level } = state.pressure;
      if (level === pressureOf(above.fill)) state.cause = above.cause;
      const { spaces, room } = loads[lane];
      const drainRate = state.rate.value;
      // What takes longer than it may is no room, however much the shard would take.
      const inTime = (drainRate * lagMaxMs[lane] * PRESSURE_FROM.overloaded) / 1_000;
      const shares = state.shares.next(spaces, Math.min(room, inTime), drainRate, nowMs);
      signals[lane] = {
        level,
        fill: round(above.fill, 3),
        cause: level === 'normal' ? 'none' : state.cause,
        waiting: Math.round(state.waiting),
        lagMs: Math.round(lagMs),
        drainRate: Math.round(drainRate),
        lagMaxMs: lagMaxMs[lane],
        spaces: shares,
      };
    }
    return { member, startedAt, count: ++this.#count, lanes: signals as PerLane<LaneSignal> };
  }
}

function newLane({ waiting, applied }: LaneLoad, graceMs: number, nowMs: number): LaneState {
  return {
    rate: new DrainRate(),
    shares: new SpaceShares(graceMs),
    pressure: NO_PRESSURE,
    cause: 'none',
    waiting,
    applied,
    movedAtMs: nowMs,
  };
}

function noteLoad(state: LaneState, load: LaneLoad, elapsedMs: number, nowMs: number): void {
  const done = load.applied - state.applied;
  const hasWaited = state.waiting > 0 && load.waiting > 0;
  state.rate.note(done, elapsedMs, hasWaited);
  if (done > 0 || !hasWaited) state.movedAtMs = nowMs;
  state.waiting = load.waiting;
  state.applied = load.applied;
}

function most(left: Fill, right: Fill): Fill {
  return right.fill > left.fill ? right : left;
}

/** @param lagShare of the time that what waits may take */
function laneFill(
  lane: Lane,
  { movedAtMs }: LaneState,
  lagShare: number,
  memory: MemoryLoad,
  nowMs: number,
): Fill {
  // Then nothing is applied on purpose, and that is no stall.
  if (memory.state === 'hard') return { fill: Math.max(1, lagShare), cause: 'memory' };
  if (nowMs - movedAtMs >= STALLED_MS) return { fill: Math.max(1, lagShare), cause: 'stalled' }; // Q3
  return most(
    { fill: lagShare, cause: 'lag' },
    { fill: memoryFill(lane, memory), cause: 'memory' },
  );
}

/**
 * At the soft limit the shard takes no more of the lane low, at the hard one of none. `normal` is closed on
 * the way from one to the other, `high` only there.
 */
function memoryFill(lane: Lane, { state, bytes, softBytes, hardBytes }: MemoryLoad): number {
  const { critical } = PRESSURE_FROM;
  if (lane === 'high') return 0;
  if (state === 'normal') return Math.min(0.99, bytes / softBytes) * critical;
  const way = Math.max(0, bytes - softBytes) / (hardBytes - softBytes);
  return critical + Math.min(1, way) * (1 - critical);
}

function round(value: number, digits: number): number {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
}
