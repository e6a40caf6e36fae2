// Measures several times a second how hard pressed the shard is, and says so: over NATS and in Redis, at
// once when a level changes, else now and then, so that silence means something.

import { ShardPressure, encodeSignal, type MemoryLoad, type ShardSignal } from '@engram/admission';
import {
  LANES,
  perLane,
  type Lane,
  type MemberId,
  type PerLane,
  type SpaceId,
} from '@engram/model';
import { Repeater, type Clock, type Logger } from '@engram/runtime';
import type { LaneFlow } from './lane-flow.ts';

const MEASURE_MS = 100;
/** Between two signals while something waits, and while nothing does. */
const BUSY_MS = 200;
const IDLE_MS = 1_000;

export interface PressureMonitorOptions {
  readonly member: MemberId;
  readonly lagMaxMs: PerLane<number>;
  readonly graceMs: number;
  readonly flow: PerLane<LaneFlow>;
  /** What the workers take of each lane. */
  readonly room: PerLane<{ readonly observations: number; readonly bytes: number }>;
  /** Entries of a lane that wait in the log. */
  readonly pending: (lane: Lane) => number;
  readonly memory: () => MemoryLoad;
  /** Says it over NATS; gets lost while NATS is away. */
  readonly say: (text: string) => void;
  /** Puts it into Redis; rejects while Redis is away. */
  readonly store: (text: string, levels: Readonly<Record<Lane, string>>) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class PressureMonitor implements AsyncDisposable {
  readonly #options: PressureMonitorOptions;
  readonly #pressure: ShardPressure;
  readonly #repeater: Repeater;
  #signal: ShardSignal | undefined;
  #said: ShardSignal | undefined;
  #saidAtMs = -Infinity;

  constructor(options: PressureMonitorOptions) {
    const { member, lagMaxMs, graceMs, clock, logger } = options;
    this.#options = options;
    this.#pressure = new ShardPressure({ member, startedAt: clock.wallNow(), lagMaxMs, graceMs });
    this.#repeater = new Repeater({
      clock,
      intervalMs: MEASURE_MS,
      run: () => this.#round(),
      onError: (error) => logger.debug({ err: error }, 'a signal was not stored'),
    });
  }

  /** As measured last; undefined before the first time. */
  get signal(): ShardSignal | undefined {
    return this.#signal;
  }

  /** No lane is pressed: there is time for what nobody waits for. */
  get isCalm(): boolean {
    const { lanes } = this.#signal ?? {};
    return lanes !== undefined && LANES.every((lane) => lanes[lane].level === 'normal');
  }

  close(): Promise<void> {
    return this.#repeater.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #round(): Promise<void> {
    const { flow, room, pending, memory, clock, say, store } = this.#options;
    const loads = perLane((lane) => {
      const { mean, bytesEach, underWay, applied } = flow[lane];
      const inLog = pending(lane) * mean;
      const { observations, bytes } = room[lane];
      return {
        waiting: underWay + inLog,
        applied,
        spaces: withLog(flow[lane].underWayBySpace(), underWay, inLog),
        room: Math.min(observations, bytes / bytesEach),
      };
    });
    const signal = this.#pressure.next(loads, memory(), clock.now());
    this.#signal = signal;
    if (!this.#isDue(signal)) return;
    this.#tellChanges(signal);
    this.#said = signal;
    this.#saidAtMs = clock.now();
    const text = encodeSignal(signal);
    say(text);
    await store(
      text,
      perLane((lane) => signal.lanes[lane].level),
    );
  }

  #isDue({ lanes }: ShardSignal): boolean {
    const said = this.#said?.lanes;
    if (said === undefined || LANES.some((lane) => lanes[lane].level !== said[lane].level))
      return true;
    const isBusy = LANES.some((lane) => lanes[lane].waiting > 0 || lanes[lane].level !== 'normal');
    return this.#options.clock.now() - this.#saidAtMs >= (isBusy ? BUSY_MS : IDLE_MS);
  }

  /** Into the log goes what lanes are closed or stand still, not every step between. */
  #tellChanges({ lanes }: ShardSignal): void {
    for (const lane of LANES) {
      const { level, cause, waiting, lagMs, drainRate } = lanes[lane];
      const before = this.#said?.lanes[lane].level ?? 'normal';
      if ((level === 'overloaded') === (before === 'overloaded')) continue;
      const told = { lane, level, cause, waiting, lagMs, drainRate };
      if (level === 'overloaded') this.#options.logger.warn(told, 'a lane is overloaded');
      else this.#options.logger.info(told, 'a lane is overloaded no more');
    }
  }
}

/**
 * Of what waits in the log only the lane is known. It is taken to be of those that have more than an equal
 * part of what was read: a space with little would be told that it crowds the others.
 */
function withLog(
  underWay: ReadonlyMap<SpaceId, number>,
  total: number,
  inLog: number,
): ReadonlyMap<SpaceId, number> {
  if (inLog === 0 || total === 0) return underWay;
  const equal = total / underWay.size;
  const greedy = [...underWay.values()].filter((count) => count > equal);
  const sum = greedy.reduce((all, count) => all + count, 0);
  const share = 1 + inLog / (sum === 0 ? total : sum);
  return new Map(
    [...underWay].map(([space, count]) => [
      space,
      sum === 0 || count > equal ? count * share : count,
    ]),
  );
}
