// Work that one thread does for another: building the graph of a segment of a worker that cannot keep
// up (stealing), and merging segments. The segment stays its owner's: what comes back is a file.
//
//   W1. A thread has one job at a time, and none while its own rows wait or it is busy with others'
//       entries and recalls: two threads that are loaded alike must not take work from each other.
//   W2. A job that is not done is given back, so that its rows never wait for ever.

import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { ClusterError } from '@engram/model';
import type { BuildJob, BuildResult } from '@engram/space-engine';

/** One worker as the plan sees it. */
export interface WorkerLoad {
  /** Rows that wait for a graph. */
  readonly backlog: number;
  /** It has a job already, or is busy. */
  readonly hasJob: boolean;
}

/** What a worker tells of itself. */
export interface WorkerState {
  readonly backlog: number;
  /** Share of the time since it was asked last. */
  readonly busy: number;
}

/** A thread that was busy for a larger share of the last moments has no time for others. */
const BUSY_SHARE = 0.5;

export interface AssistPlan {
  readonly owner: number;
  readonly helper: number;
}

/** Who helps whom next: the idlest helps the busiest (W1). Pure. */
export function planAssist(
  loads: readonly WorkerLoad[],
  stealThreshold: number,
): AssistPlan | undefined {
  let owner = -1;
  let helper = -1;
  loads.forEach(({ backlog, hasJob }, worker) => {
    if (backlog >= stealThreshold && (owner < 0 || backlog > loads[owner]!.backlog)) owner = worker;
    else if (
      !hasJob &&
      backlog < stealThreshold &&
      (helper < 0 || backlog < loads[helper]!.backlog)
    )
      helper = worker;
  });
  return owner < 0 || helper < 0 ? undefined : { owner, helper };
}

/** What a worker can be asked here. */
export interface AssistPort {
  states(): Promise<readonly WorkerState[]>;
  giveWork(owner: number, rowsMin: number): Promise<BuildJob | undefined>;
  giveMerge(owner: number): Promise<BuildJob | undefined>;
  build(helper: number, job: BuildJob): Promise<BuildResult>;
  finish(owner: number, result: BuildResult): Promise<void>;
  abandon(owner: number, job: BuildJob, reason: ClusterError): void;
}

export interface AssistOptions {
  readonly workers: number;
  readonly stealThreshold: number;
  readonly onFault: (error: unknown) => void;
}

export interface AssistCounts {
  /** Segments that a thread built for another one. */
  readonly stolen: number;
  readonly merged: number;
  /** Jobs whose space was gone meanwhile. */
  readonly vain: number;
}

export class Assist {
  readonly #port: AssistPort;
  readonly #options: AssistOptions;
  readonly #hasJob: boolean[];
  readonly #running = new Set<Promise<void>>();
  #mergeOwner = 0;
  #stolen = 0;
  #merged = 0;
  #vain = 0;

  constructor(port: AssistPort, options: AssistOptions) {
    this.#port = port;
    this.#options = options;
    this.#hasJob = Array.from({ length: options.workers }, () => false);
  }

  get counts(): AssistCounts {
    return { stolen: this.#stolen, merged: this.#merged, vain: this.#vain };
  }

  /** One look at all workers; jobs go on after it. */
  async round(): Promise<void> {
    const states = await this.#port.states();
    const loads = states.map(({ backlog, busy }, worker) => ({
      backlog,
      hasJob: this.#hasJob[worker]! || busy > BUSY_SHARE,
    }));
    const plan = planAssist(loads, this.#options.stealThreshold);
    if (plan !== undefined) {
      this.#start(plan, await this.#port.giveWork(plan.owner, this.#options.stealThreshold), () => {
        this.#stolen++;
      });
      return;
    }
    // Merges rewrite what is there already: only a thread with nothing else to do makes them.
    const helper = loads.findIndex(
      ({ backlog, hasJob }) => !hasJob && backlog < this.#options.stealThreshold,
    );
    if (helper < 0) return;
    const owner = this.#mergeOwner++ % loads.length;
    this.#start({ owner, helper }, await this.#port.giveMerge(owner), () => {
      this.#merged++;
    });
  }

  /** Resolves when no job is under way. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  #start({ owner, helper }: AssistPlan, job: BuildJob | undefined, count: () => void): void {
    if (job === undefined) return;
    this.#hasJob[helper] = true;
    const running = this.#run(owner, helper, job)
      .then((isDone) => {
        if (isDone) count();
        else this.#vain++;
      })
      .catch((error: unknown) => this.#options.onFault(error))
      .finally(() => {
        this.#hasJob[helper] = false;
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  /** @returns false when nobody wants it any more */
  async #run(owner: number, helper: number, job: BuildJob): Promise<boolean> {
    let result: BuildResult;
    try {
      result = await this.#port.build(helper, job);
    } catch (error) {
      this.#port.abandon(owner, job, ClusterError.from(error)); // W2
      // Its partition was let go of, or its space deleted.
      if (!existsSync(dirname(job.graphPath))) return false;
      throw error;
    }
    await this.#port.finish(owner, result);
    return true;
  }
}
