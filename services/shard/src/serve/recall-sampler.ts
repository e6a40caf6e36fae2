// Recall as users get it: now and then one is asked again exactly, and what the graphs missed is counted.

import type { WireHit } from '@engram/codec';
import type { RecallTask, ShardEngine } from '@engram/engine';
import type { Counter } from '@engram/metrics';
import type { Clock, Logger } from '@engram/runtime';

export interface RecallSamplerOptions {
  /** At most one in so long; 0: none. */
  readonly everyMs: number;
  readonly engine: Pick<ShardEngine, 'recallBytes'>;
  /** Whether the shard has time for a question that nobody waits for. */
  readonly isCalm: () => boolean;
  readonly recalls: Counter;
  readonly wanted: Counter;
  readonly found: Counter;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class RecallSampler {
  readonly #options: RecallSamplerOptions;
  #running: Promise<void> | undefined;
  #lastMs: number;

  constructor(options: RecallSamplerOptions) {
    this.#options = options;
    this.#lastMs = options.clock.now();
  }

  /** @param hits what was answered */
  offer(task: RecallTask, hits: readonly WireHit[]): void {
    const { everyMs, isCalm, clock, logger } = this.#options;
    if (everyMs === 0 || this.#running !== undefined || task.exact === true) return;
    if (clock.now() - this.#lastMs < everyMs || !isCalm()) return;
    this.#lastMs = clock.now();
    this.#running = this.#compare(task, hits)
      // A space may be gone by now; there are other recalls.
      .catch((error: unknown) => logger.debug({ err: error }, 'a recall was not compared'))
      .finally(() => (this.#running = undefined));
  }

  /** Until the one that runs is over. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #compare(task: RecallTask, hits: readonly WireHit[]): Promise<void> {
    const { engine, recalls, wanted, found } = this.#options;
    const { metric } = task.config;
    const right = await engine.recallBytes({ ...task, exact: true, include: [] });
    const last = right.at(-1);
    if (last === undefined) return;
    // One as near as the last of them is as good as that: of equal ones any may be answered.
    const isNear = ({ score }: WireHit) =>
      metric === 'l2' ? score <= last.score : score >= last.score;
    recalls.inc();
    wanted.inc(right.length);
    found.inc(Math.min(right.length, hits.filter(isNear).length));
  }
}
