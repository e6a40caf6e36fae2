import type { Random } from '../random.ts';
import type { Workload } from '../load/workload.ts';
import type { ChaosCluster } from './chaos-cluster.ts';

/** A fault that is in effect. */
export interface ActiveFault {
  /** What was hit. */
  readonly target: string;
  /** Ends it; resolves when what was taken down is up again. */
  readonly heal: () => Promise<void>;
}

export interface FaultContext {
  readonly running: ChaosCluster;
  readonly load: Workload;
  readonly random: Random;
  /** Targets of the faults in effect: a process is hit by one fault at a time. */
  readonly busy: ReadonlySet<string>;
}

export interface FaultKind {
  /** Milliseconds that it lasts, at least and at most. */
  readonly lastsMs: readonly [number, number];
  /** Nothing else may be wrong meanwhile. */
  readonly isAlone?: boolean;
  /** Why it cannot be made here; undefined when it can. */
  readonly cannot?: (running: ChaosCluster) => string | undefined;
  /** Undefined when there is nothing left to hit. */
  readonly inject: (context: FaultContext) => Promise<ActiveFault | undefined>;
}
