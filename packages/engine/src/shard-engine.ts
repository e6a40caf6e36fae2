// The engine inside a shard: entries of the log go in, recalls are answered. It knows nothing of NATS,
// Redis or HTTP, so it runs and is measured alone.
//
//   G1. An entry that `apply` took is applied once its promise resolves; a worker thread that ends
//       meanwhile does not lose it, because its bytes are shared, not given away.
//   G2. What a thread had in memory is told as lost before its successor has work; whoever feeds the
//       engine applies those entries again.
//   G3. What is under way is bounded for each lane, in observations and in bytes.

import { setMaxListeners } from 'node:events';
import { embeddingBytes, type GetReply, type WireHit } from '@engram/codec';
import {
  ClusterError,
  type Lane,
  type PartitionId,
  type SpaceConfig,
  type SpaceId,
} from '@engram/model';
import { Repeater } from '@engram/runtime';
import type { BuildResult } from '@engram/space-engine';
import { WorkerPool } from '@engram/worker-pool';
import { Assist, type AssistCounts, type WorkerState } from './assist.ts';
import { EngineCheckpoints } from './checkpoints.ts';
import { faultText } from './fault-text.ts';
import { collectWhenShort } from './garbage.ts';
import { nextMemoryState, type MemoryState } from './memory-guard.ts';
import { memoryUsage, threadMemory } from './memory-usage.ts';
import type { ShardEngineOptions } from './options.ts';
import type {
  EntryAnswer,
  EntryTask,
  GiveAnswer,
  RecallTask,
  StatsAnswer,
  TickAnswer,
  WorkerNews,
  WorkerRequest,
} from './protocol.ts';
import { RecallStreams } from './recall-streams.ts';
import { isDeletesOnly, type Applied, type Entry } from './entry.ts';
import { Quarantine } from './quarantine.ts';
import { RunFolder } from './run-folder.ts';
import { SharedBytes } from './shared-bytes.ts';
import { RESOURCE_LIMITS, workerSettings } from './worker-settings.ts';
import { totalsOf, type EngineTotals } from './totals.ts';

/** A busy machine may take as long; nothing is lost by waiting. */
const READY_TIMEOUT_MS = 30_000;
/** Between two looks after idle spaces, old rows and memory. */
const TICK_MS = 500;
/** Between two looks for work that a thread can take over. */
const ASSIST_MS_MIN = 20;
/** An entry that memory had no room for is tried again after so long. */
const REFUSED_WAIT_MS = 250;

export class ShardEngine implements AsyncDisposable {
  readonly #options: ShardEngineOptions;
  readonly #folder: RunFolder;
  readonly #stop = new AbortController();
  readonly #drops = new Map<PartitionId, number>();
  readonly #shared = new SharedBytes();
  /** Streamed recalls, for who asks for pages in messages of their own. */
  readonly streams = new RecallStreams({
    ask: (space, request) => this.#ask(space, request),
    post: (space, request) => this.#post(this.#pool.workerOf(space), request),
  });
  /** Partitions to files that outlive the process, and back. */
  readonly checkpoints = new EngineCheckpoints({
    workerOf: (space) => this.#pool.workerOf(space),
    ask: (worker, request) => this.#askOf(worker, request),
    askAll: (request) => this.#askAll(request),
    onSpace: (worker, space, partition) => this.#spaces[worker]!.set(space, partition),
  });
  /** Where spaces are, so that it is known what a thread takes with it. */
  readonly #spaces: Map<SpaceId, PartitionId>[];
  readonly #quarantine = new Quarantine();
  #pool!: WorkerPool<EntryTask, EntryAnswer>;
  #assist!: Assist;
  #assistRounds!: Repeater;
  #ticks!: Repeater;
  /** What each worker said at the last look. */
  #ticked: readonly TickAnswer[] = [];
  #memory: MemoryState = 'normal';
  #usage = memoryUsage();
  #own = threadMemory();
  #runtimeBytes = 0;
  #closing: Promise<void> | undefined;

  private constructor(options: ShardEngineOptions, folder: RunFolder) {
    // Everything that waits for memory listens for the end.
    setMaxListeners(0, this.#stop.signal);
    this.#options = options;
    this.#folder = folder;
    this.#spaces = Array.from({ length: options.workers }, () => new Map<SpaceId, PartitionId>());
  }

  static async start(options: ShardEngineOptions): Promise<ShardEngine> {
    const folder = await RunFolder.open(options.dataDir, options.events.onFault);
    const engine = new ShardEngine(options, folder);
    await engine.#start();
    return engine;
  }

  /**
   * Takes an entry; undefined when its lane has no room, or memory is short. Its bytes are copied, and
   * the caller's again when this returns.
   * @param options.isReplay what was accepted long ago must come in even where new entries have to wait
   */
  apply(entry: Entry, { isReplay = false } = {}): Promise<Applied> | undefined {
    const known = this.#quarantine.get(entry.partition, entry.sequence);
    if (known !== undefined) return Promise.resolve(known);
    const isClosed = isReplay ? this.#memory === 'hard' : this.#isClosedFor(entry.lane);
    if (isClosed && !isDeletesOnly(entry)) return undefined;
    const { observations, ...rest } = entry;
    // Looked at first, so that nothing is copied in vain while the lane is full.
    if (!this.#pool.hasRoom(entry.lane, { observations, bytes: entry.bytes.length }))
      return undefined;
    const bytes = this.#shared.copy(entry.bytes);
    const task: EntryTask = { ...rest, bytes, drops: this.#drops.get(entry.partition) ?? 0 };
    return this.#settle(task, observations).finally(() => this.#shared.giveBack(bytes));
  }

  /** The nearest observations, best first. */
  recall(task: Omit<RecallTask, 'embedding'> & { readonly embedding: Float32Array }) {
    const embedding = embeddingBytes(task.embedding);
    return this.recallBytes({ ...task, embedding });
  }

  /** The same with the bytes of the embedding, as they come over the wire. */
  recallBytes(task: RecallTask): Promise<readonly WireHit[]> {
    return this.#ask<readonly WireHit[]>(task.config.space, { verb: 'recall', ...task });
  }

  /** The same a page at a time, each read when it is asked for: so `k` may be large. */
  recallStream(task: RecallTask): AsyncGenerator<readonly WireHit[], undefined> {
    return this.streams.read(task);
  }

  get(config: SpaceConfig, id: string): Promise<GetReply['found']> {
    return this.#ask(config.space, { verb: 'get', config, id });
  }

  stats(config: SpaceConfig): Promise<StatsAnswer> {
    return this.#ask(config.space, { verb: 'stats', config });
  }

  /** Resolves when everything that was applied to the space before is in a graph or needs none. */
  async indexed(config: SpaceConfig): Promise<void> {
    await this.#ask(config.space, { verb: 'indexed', config });
  }

  /** Nothing at or below these sequences comes any more. */
  complete(upTo: ReadonlyMap<PartitionId, number>): void {
    this.#postAll({ verb: 'complete', upTo });
  }

  dropSpace(space: SpaceId): void {
    const worker = this.#pool.workerOf(space);
    this.#spaces[worker]!.delete(space);
    this.#post(worker, { verb: 'drop-space', space });
  }

  /** What these partitions have goes, and what was taken of them and is not applied yet never is. */
  dropPartitions(partitions: readonly PartitionId[]): void {
    const gone = new Set(partitions);
    for (const partition of partitions) {
      this.#drops.set(partition, (this.#drops.get(partition) ?? 0) + 1);
      this.#quarantine.forget(partition);
    }
    for (const spaces of this.#spaces)
      for (const [space, partition] of spaces) if (gone.has(partition)) spaces.delete(space);
    this.checkpoints.forget(partitions);
    this.#postAll({ verb: 'drop-partitions', partitions });
  }

  /**
   * How much more of a lane may come; nothing when memory is short. The lane high stays open, because
   * deletes come in it: puts among them are not taken, and wait with who asks.
   */
  room(
    lane: Lane,
    { isReplay = false } = {},
  ): { readonly observations: number; readonly bytes: number } {
    const isClosed = isReplay
      ? this.#memory === 'hard'
      : lane !== 'high' && this.#isClosedFor(lane);
    return isClosed ? { observations: 0, bytes: 0 } : this.#pool.room(lane);
  }

  depth(lane: Lane): {
    readonly items: number;
    readonly observations: number;
    readonly bytes: number;
  } {
    return this.#pool.depth(lane);
  }

  oldestAgeMs(lane: Lane): number {
    return this.#pool.oldestAgeMs(lane);
  }

  get memory(): MemoryState {
    return this.#memory;
  }

  get workers(): number {
    return this.#options.workers;
  }

  /** Which worker has a space. */
  workerOf(space: SpaceId): number {
    return this.#pool.workerOf(space);
  }

  /** Of its thread, since that was started. */
  busyMs(worker: number): number {
    return this.#pool.busyMs(worker);
  }

  get assists(): AssistCounts {
    return this.#assist.counts;
  }

  /** As of the last look, half a second old at most. */
  get totals(): EngineTotals {
    return {
      ...totalsOf(this.#ticked, this.#own, this.#runtimeBytes),
      ...this.#usage,
      memory: this.#memory,
    };
  }

  /** Looks after everything now rather than at the next half second. */
  async refresh(): Promise<EngineTotals> {
    await this.#tick();
    return this.totals;
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #start(): Promise<void> {
    const { workers, lanes, minBatch, maxBatch, clock, events, entry } = this.#options;
    this.#folder.watch(clock, events.onFailed);
    const starts = Array.from({ length: workers }, () => 0);
    this.#pool = await WorkerPool.start<EntryTask, EntryAnswer>({
      entry: entry ?? new URL('./worker/main.js', import.meta.url),
      workerData: (index) => workerSettings(this.#options, this.#folder.path, starts[index]!++),
      resourceLimits: RESOURCE_LIMITS,
      readyTimeoutMs: READY_TIMEOUT_MS,
      count: workers,
      lanes,
      minBatch,
      maxBatch,
      clock,
      onCrash: (crash) => {
        events.onCrash(crash);
        this.#tellLost(crash.worker);
      },
      onNews: (worker, news) => this.#lostFiles(worker, news as WorkerNews),
      onRestarted: (worker) => {
        this.#post(worker, { verb: 'drops', counts: this.#drops });
        this.#post(worker, { verb: 'lost', partitions: this.#partitionsOf(worker) });
      },
      onFailed: events.onFailed,
    });
    this.#assist = new Assist(
      {
        states: () => this.#askAll<WorkerState>({ verb: 'state' }),
        giveWork: (owner, rowsMin) =>
          this.#askOf<GiveAnswer>(owner, { verb: 'give-work', rowsMin }),
        giveMerge: (owner) => this.#askOf<GiveAnswer>(owner, { verb: 'give-merge' }),
        build: (helper, job) => this.#askOf<BuildResult>(helper, { verb: 'build', job }),
        finish: async (owner, result) => {
          await this.#askOf<undefined>(owner, { verb: 'finish', result });
        },
        abandon: (owner, { space, id }, { code }) =>
          this.#post(owner, {
            verb: 'abandon',
            space,
            id,
            isDamaged: code === 'SEGMENT_DAMAGED',
          }),
      },
      {
        workers,
        stealThreshold: this.#options.stealThreshold,
        onFault: (error) => this.#fault(error),
      },
    );
    await this.#tick();
    const { heaps, buffers } = this.totals.components;
    this.#runtimeBytes = Math.max(0, memoryUsage().privateBytes - heaps - buffers);
    const onError = (error: unknown) => this.#fault(error);
    this.#assistRounds = new Repeater({
      clock,
      intervalMs: Math.max(ASSIST_MS_MIN, this.#options.idleSleepMs),
      run: () => this.#assist.round(),
      onError,
    });
    this.#ticks = new Repeater({ clock, intervalMs: TICK_MS, run: () => this.#tick(), onError });
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#assistRounds.close(), this.#ticks.close()]);
    await this.#pool.close();
    await this.#folder.remove();
  }

  /** Puts of the lane low wait when memory is short, all of them when it is at its limit. */
  #isClosedFor(lane: Lane): boolean {
    return this.#memory === 'hard' || (this.#memory === 'soft' && lane === 'low');
  }

  #submit(task: EntryTask, observations: number) {
    const { space } = task.config;
    this.#spaces[this.#pool.workerOf(space)]!.set(space, task.partition);
    return this.#pool.submit({
      key: space,
      lane: task.lane,
      cost: { observations, bytes: task.bytes.length },
      body: task,
    });
  }

  async #settle(task: EntryTask, observations: number): Promise<Applied> {
    for (;;) {
      const outcome = await this.#submit(task, observations);
      if (outcome?.kind === 'quarantined')
        return this.#quarantine.add(task.partition, task.sequence, outcome.error);
      if (outcome !== undefined && outcome.answer.isRefused !== true) return outcome.answer;
      // Memory is at its limit: what was taken waits here, and deletes among it are applied.
      await this.#options.clock.sleep(REFUSED_WAIT_MS, this.#stop.signal);
      if (this.#stop.signal.aborted)
        throw new ClusterError('SHUTTING_DOWN', 'the engine is closing');
    }
  }

  #partitionsOf(worker: number): PartitionId[] {
    return [...new Set(this.#spaces[worker]!.values())];
  }

  #tellLost(worker: number): void {
    const partitions = this.#partitionsOf(worker);
    this.checkpoints.lose(partitions);
    if (partitions.length > 0)
      this.#options.events.onLost(partitions, [...this.#spaces[worker]!.keys()]);
  }

  #lostFiles(worker: number, { damaged, partition }: WorkerNews): void {
    this.checkpoints.lose([partition]);
    this.#options.events.onLost([partition], [damaged]);
    // What was told complete before this message is complete no more.
    this.#post(worker, { verb: 'trust', partitions: [partition] });
  }

  async #tick(): Promise<void> {
    const { clock, memory, events } = this.#options;
    this.#usage = (this.#options.memoryUsage ?? memoryUsage)();
    const before = this.#memory;
    this.#memory = nextMemoryState(before, this.#usage.privateBytes, memory);
    if (this.#memory !== before) events.onMemory?.(this.#memory, this.#usage.privateBytes);
    collectWhenShort(this.#memory);
    const request: WorkerRequest = { verb: 'tick', nowMs: clock.now(), memory: this.#memory };
    this.#ticked = await this.#askAll<TickAnswer>(request);
    this.#own = threadMemory();
    for (const { faults } of this.#ticked) for (const fault of faults) events.onFault(fault);
  }

  #fault(error: unknown): void {
    if (this.#closing === undefined) this.#options.events.onFault(faultText(error));
  }

  async #ask<T>(space: SpaceId, request: WorkerRequest): Promise<T> {
    return (await this.#pool.request(space, request)) as T;
  }

  async #askOf<T>(worker: number, request: WorkerRequest): Promise<T> {
    return (await this.#pool.requestTo(worker, request)) as T;
  }

  async #askAll<T>(request: WorkerRequest): Promise<T[]> {
    return (await this.#pool.requestAll(request)) as T[];
  }

  #post(worker: number, request: WorkerRequest): void {
    this.#pool.post(worker, request);
  }

  #postAll(request: WorkerRequest): void {
    for (let worker = 0; worker < this.#options.workers; worker++) this.#post(worker, request);
  }
}
