// One phase: safety while faults are in effect, then liveness once they are healed.

import { setTimeout as pause } from 'node:timers/promises';
import type { LoadSpace, RecordingClient } from '../load/recording-client.ts';
import type { Workload } from '../load/workload.ts';
import { LANES } from '../history/event.ts';
import { seededRandom } from '../random.ts';
import { until } from '../until.ts';
import type { ChaosCluster } from './chaos-cluster.ts';
import type { ActiveFault } from './fault.ts';
import { faultKind, type FaultName, type Phase, type PlannedFault } from './schedule.ts';

export interface FaultReport {
  readonly phase: number;
  readonly name: FaultName;
  /** Undefined: there was nothing left to hit. */
  readonly target: string | undefined;
  readonly lastedMs: number;
  /** From the end of the phase's faults, with what was killed to be started, until all was well again. */
  readonly recoveryMs: number;
}

export interface PhaseContext {
  readonly running: ChaosCluster;
  readonly load: Workload;
  readonly client: RecordingClient;
  readonly spaces: readonly LoadSpace[];
  /** Within which the cluster must be well after healing. */
  readonly recoveryDeadlineMs: number;
  readonly onFault?: (fault: PlannedFault, target: string | undefined) => void;
}

/** @throws Error when the cluster does not get well in time, or a fault is met as it must not be */
export async function runPhase(context: PhaseContext, phase: Phase): Promise<FaultReport[]> {
  const { running, load } = context;
  const busy = new Set<string>();
  const active: (ActiveFault & { readonly fault: PlannedFault; readonly since: number })[] = [];
  const begun = performance.now();
  const reached = (ms: number) => pause(Math.max(0, begun + ms - performance.now()));
  const missed: PlannedFault[] = [];
  let ended = begun;
  try {
    for (const fault of [...phase.faults].sort((a, b) => a.startMs - b.startMs)) {
      await reached(fault.startMs);
      const random = seededRandom(fault.seed);
      const made = await faultKind(fault.name).inject({ running, load, random, busy });
      context.onFault?.(fault, made?.target);
      if (made === undefined) {
        missed.push(fault);
        continue;
      }
      busy.add(made.target);
      active.push({ ...made, fault, since: performance.now() });
    }
    // Counted from when each took effect: the one before may have taken its time.
    await reached(Math.max(0, ...active.map(({ fault, since }) => since - begun + fault.lastsMs)));
  } finally {
    ended = performance.now();
    // Servers before services: those that start need them.
    const order = (target: string) => (target === 'nats' || target === 'redis' ? 0 : 1);
    active.sort((a, b) => order(a.target) - order(b.target));
    for (const { heal } of active) await heal();
  }
  await whenWell(context);
  const recoveryMs = Math.round(performance.now() - ended);
  return [
    ...active.map(({ fault, target, since }) => ({
      phase: phase.number,
      name: fault.name,
      target,
      lastedMs: Math.round(ended - since),
      recoveryMs,
    })),
    ...missed.map(({ name }) => ({
      phase: phase.number,
      name,
      target: undefined,
      lastedMs: 0,
      recoveryMs: 0,
    })),
  ];
}

/** Every partition is served by its owner, and a write in every lane of every space is searchable. */
export async function whenWell(
  context: Pick<PhaseContext, 'running' | 'client' | 'spaces' | 'recoveryDeadlineMs'>,
): Promise<void> {
  const { running, client, spaces, recoveryDeadlineMs } = context;
  const end = performance.now() + recoveryDeadlineMs;
  const leftMs = () => Math.max(1, end - performance.now());
  await running.whenSettled(leftMs());
  for (const space of spaces)
    await Promise.all(
      LANES.map((lane) =>
        until(
          `a write to ${space.name} in the lane ${lane} is searchable`,
          async () => {
            const written = await client.put(space, [{ id: `fence-${lane}` }], lane, 'searchable');
            return written?.ack === 'searchable';
          },
          leftMs(),
        ),
      ),
    );
}
