// A cluster, a load on it and the record of what it answered, from start to verdict.

import { connect, type NatsConnection } from 'nats';
import {
  startChaosCluster,
  type ChaosCluster,
  type ChaosClusterOptions,
} from './faults/chaos-cluster.ts';
import { runPhase, whenWell, type FaultReport, type PhaseContext } from './faults/run-phase.ts';
import type { Phase } from './faults/schedule.ts';
import { check, type Verdict } from './history/check.ts';
import { CheckpointRecords, type WriterHistory } from './history/checkpoint-records.ts';
import type { FinalState } from './history/event.ts';
import { ledgerOf, type Ledger } from './history/ledger.ts';
import { HistoryRecorder } from './history/recorder.ts';
import { readFinalState } from './load/final-state.ts';
import {
  RecordingClient,
  type LoadSpace,
  type RecordingClientOptions,
} from './load/recording-client.ts';
import { loadSpaces, Workload } from './load/workload.ts';
import { verifyCopies, type CopyVerdict } from './load/verify-copies.ts';
import { until } from './until.ts';

export interface ChaosRunOptions extends ChaosClusterOptions {
  readonly spaces: number;
  readonly rate: number;
  readonly seed: number;
  readonly recoveryDeadlineMs: number;
  readonly onAnswer?: NonNullable<RecordingClientOptions['onAnswer']>;
  readonly onFault?: NonNullable<PhaseContext['onFault']>;
}

export interface ChaosEnd {
  readonly verdict: Verdict;
  readonly ledger: Ledger;
  readonly writers: Pick<WriterHistory, 'count' | 'violations'>;
  /** Of every copy of every space, by the cluster's own verification. */
  readonly copies: readonly CopyVerdict[];
}

export class ChaosRun implements AsyncDisposable {
  readonly running: ChaosCluster;
  readonly load: Workload;
  readonly spaces: readonly LoadSpace[];
  readonly recorder: HistoryRecorder;
  readonly #nats: NatsConnection;
  readonly #records: CheckpointRecords;
  readonly #context: PhaseContext;

  private constructor(
    recorder: HistoryRecorder,
    nats: NatsConnection,
    records: CheckpointRecords,
    context: PhaseContext,
  ) {
    this.#records = records;
    this.recorder = recorder;
    this.#nats = nats;
    this.#context = context;
    this.running = context.running;
    this.load = context.load;
    this.spaces = context.spaces;
  }

  /** Starts the cluster, makes the spaces and begins to write and read. */
  static async start(options: ChaosRunOptions): Promise<ChaosRun> {
    const running = await startChaosCluster(options);
    let nats: NatsConnection | undefined;
    try {
      nats = await connect({
        servers: running.cluster.nats.url,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
      });
      const recorder = new HistoryRecorder();
      let turn = 0;
      const { gateways } = running.cluster;
      const urls = gateways.map(({ url }) => url);
      const client = new RecordingClient({
        recorder,
        url: () => urls[turn++ % urls.length]!,
        js: nats.jetstream(),
        ...(options.onAnswer === undefined ? {} : { onAnswer: options.onAnswer }),
      });
      const spaces = loadSpaces(options.spaces);
      for (const space of spaces)
        await until(`${space.name} is made`, () => client.createSpace(space));
      const { rate, seed, recoveryDeadlineMs, onFault } = options;
      const load = new Workload({ client, spaces, rate, seed });
      const context = {
        running,
        load,
        client,
        spaces,
        recoveryDeadlineMs,
        ...(onFault === undefined ? {} : { onFault }),
      };
      // One write into each space tells the client its partition.
      await whenWell(context);
      const records = await CheckpointRecords.start(nats);
      load.start();
      return new ChaosRun(recorder, nats, records, context);
    } catch (error) {
      await nats?.close();
      await running[Symbol.asyncDispose]();
      throw error;
    }
  }

  phase(phase: Phase): Promise<FaultReport[]> {
    return runPhase(this.#context, phase);
  }

  /**
   * Stops the load, waits until all is quiet and holds what is there against all that was told since the
   * start. Then the load goes on. Each read is checked once.
   */
  async verify(): Promise<ChaosEnd> {
    await this.load.close();
    try {
      await whenWell(this.#context);
      await this.#whenApplied();
      const final = await this.#readFinalState();
      return this.#judge(final, await verifyCopies(this.running.cluster.url, this.spaces));
    } finally {
      this.load.start();
    }
  }

  #whenApplied(): Promise<boolean> {
    return until('nothing is left to be applied', async () => {
      const response = await fetch(`${this.running.cluster.url}/v1/cluster`);
      const { members } = (await response.json()) as {
        readonly members: readonly { readonly role: string; readonly lag?: number }[];
      };
      // A shard that does not answer has no lag.
      return members.every(({ role, lag }) => role !== 'shard' || lag === 0);
    });
  }

  async #readFinalState(): Promise<FinalState> {
    const ids = new Map<string, Set<string>>();
    for (const { space, id } of this.recorder.writes) {
      const known = ids.get(space);
      if (known === undefined) ids.set(space, new Set([id]));
      else known.add(id);
    }
    const jsm = await this.#nats.jetstreamManager();
    const { url } = this.running.cluster;
    return readFinalState(url, jsm, this.spaces, (space) => ids.get(space) ?? []);
  }

  #judge(final: FinalState, copies: readonly CopyVerdict[]): ChaosEnd {
    const { recorder } = this;
    const verdict = check(recorder, final);
    const ledger = ledgerOf(recorder.writes, recorder.poisons, final);
    recorder.forgetReads();
    return { verdict, ledger, writers: this.#records.history, copies };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.load.close();
    await this.#records[Symbol.asyncDispose]();
    await this.#nats.close();
    await this.running[Symbol.asyncDispose]();
  }
}
