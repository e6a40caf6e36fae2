// A worker thread: it has the indices of its spaces and knows nothing of NATS, Redis or HTTP. Recalls
// are answered as they come; graph building and files go on between them in slices.

import { workerData } from 'node:worker_threads';
import { ClusterError, type PartitionId, type SpaceId } from '@engram/model';
import { buildBytes, buildSegment, spareBlocks, warmUp } from '@engram/space-engine';
import { serveThread, type ThreadAnswer } from '@engram/worker-pool';
import type { WorkerState } from '../assist.ts';
import { collectWhenShort } from '../garbage.ts';
import type { MemoryState } from '../memory-guard.ts';
import { threadMemory } from '../memory-usage.ts';
import type {
  EntryAnswer,
  EntryTask,
  PageAnswer,
  RecallAnswer,
  StatsAnswer,
  TickAnswer,
  WorkerNews,
  WorkerRequest,
  WorkerSettings,
} from '../protocol.ts';
import { applyEntry } from './apply-entry.ts';
import { Checkpoints } from './checkpoints.ts';
import { Crowding, threadCpuTime } from './crowding.ts';
import { Cursors } from './cursors.ts';
import { buildPace, noteApply, slice, slicedPace } from './slice.ts';
import { Unloading } from './unloading.ts';
import { giveMerge, giveWork, withSpace } from './giving.ts';
import { idPages, queryOf, recallPages, toWire } from './wire.ts';
import { rebuilding, SpaceTable, type LoadedSpace } from './space-table.ts';

/** A space that nobody asked for that long is unloaded when memory is short. */
const IDLE_MS_WHEN_SHORT = 10_000;

/**
 * One space is built for so long before the next has its turn: a graph that has just been worked on is
 * in the processor's caches, and going from one to another in every slice cost a fifth of the rate.
 */
const TURN_MS = 100;

const settings = workerData as WorkerSettings;
const spaces = new SpaceTable(settings, (damaged, partition) => {
  cursors.closeAll(damaged);
  tell({ damaged, partition } satisfies WorkerNews);
});
const cursors = new Cursors(settings.incarnation);
const unloading = new Unloading(spaces);
const checkpoints = new Checkpoints(settings, spaces);
/** Spaces with rows that wait for a graph, or with segments to be written, in turn. */
const busy = new Set<LoadedSpace>();
const crowding = new Crowding(threadCpuTime());
const waitingForIndex = new Set<{ space: LoadedSpace; resolve: () => void }>();
const drops = new Map<PartitionId, number>();
let memory: MemoryState = 'normal';
let isRunning = false;
let turnEndsAt = 0;
let lastUse = performance.eventLoopUtilization();

/** Starts the loop unless it runs; each round gives the event loop, and so recalls, a turn. */
function run(): void {
  if (isRunning) return;
  isRunning = true;
  setImmediate(round);
}

function round(): void {
  const isOver = slice();
  for (const space of busy) {
    const { upkeep } = space;
    const hasMore = upkeep.buildGraph(isOver);
    if (upkeep.isUntended) void tend(space);
    const isStaying = hasMore && performance.now() < turnEndsAt;
    if (!isStaying) {
      busy.delete(space);
      if (hasMore) busy.add(space); // to the end of the set
      turnEndsAt = performance.now() + TURN_MS;
    }
    if (isOver()) break;
  }
  for (const waiting of waitingForIndex) {
    if (!waiting.space.upkeep.isIndexed) continue;
    waitingForIndex.delete(waiting);
    waiting.resolve();
  }
  isRunning = busy.size > 0;
  if (!isRunning) return;
  const pauseMs = crowding.pauseMs(performance.now());
  if (pauseMs > 0) setTimeout(round, pauseMs);
  else setImmediate(round);
}

function wake(space: LoadedSpace): void {
  busy.add(space);
  run();
}

/** Seals what is full. What fails is reported by the engine and tried again at a later tick. */
async function tend(space: LoadedSpace): Promise<void> {
  space.users++;
  try {
    while (await space.upkeep.tend()) continue;
  } finally {
    space.users--;
  }
}

/** The same for a question about what the space holds. @throws ClusterError PARTITION_UNAVAILABLE */
function asking<T>(
  space: LoadedSpace | undefined,
  missing: T,
  ask: (space: LoadedSpace) => T | Promise<T>,
): Promise<T> {
  return withSpace(space, missing, async (asked) => {
    spaces.requireTrust(asked);
    try {
      return await ask(asked);
    } catch (error) {
      throw await afterFault(asked, error);
    }
  });
}

/** What to tell of a fault, once the space begins anew where that is needed. */
async function afterFault(space: LoadedSpace, error: unknown): Promise<unknown> {
  if (ClusterError.from(error).code !== 'SEGMENT_DAMAGED') return error;
  await beginAnew(space, error);
  return rebuilding();
}

async function beginAnew(space: LoadedSpace, cause: unknown): Promise<void> {
  spaces.faults.push(ClusterError.from(cause).message);
  await spaces.damaged(space);
}

const NOTHING: EntryAnswer = { applied: 0, stale: 0, errors: [] };

function apply(task: EntryTask): EntryAnswer | Promise<EntryAnswer> {
  // The shard let the partition go meanwhile; its next replay brings the entry again.
  if (task.drops !== (drops.get(task.partition) ?? 0)) return NOTHING;
  const space = spaces.use(task.config, task.partition);
  if (space instanceof Promise) return space.then(() => apply(task));
  if (space === undefined) return NOTHING;
  space.usedAtMs = performance.now();
  let answer: EntryAnswer;
  try {
    answer = applyEntry(space.engine, task, memory === 'hard');
  } catch (error) {
    return beginAnew(space, error).then(() => NOTHING); // the entry comes again with all others
  }
  space.upkeep.roll();
  noteApply();
  // What the entry ended may have been all that somebody waited for.
  if (space.engine.backlog > 0 || waitingForIndex.size > 0) wake(space);
  return answer;
}

/** Ends when every task has: the bytes of all of them are used again then, also where one failed. */
async function applyAll(tasks: readonly EntryTask[]): Promise<EntryAnswer[]> {
  const settled = await Promise.allSettled(tasks.map(async (task) => apply(task)));
  return settled.map((result) => {
    if (result.status === 'rejected') throw ClusterError.from(result.reason);
    return result.value;
  });
}

async function answer(body: unknown): Promise<ThreadAnswer> {
  const request = body as WorkerRequest;
  switch (request.verb) {
    case 'batch':
      return { value: await applyAll(request.tasks) };
    case 'recall': {
      const { config, include } = request;
      const query = queryOf(request);
      const hits = await asking(await spaces.use(config), [], ({ engine }) => engine.recall(query));
      const value: RecallAnswer = hits.map((hit) => toWire(hit, hit.score, include));
      return { value };
    }
    case 'recall-open':
    case 'ids-open': {
      const space = await spaces.use(request.config);
      const value: PageAnswer =
        space === undefined ? { hits: [] } : await cursors.open(space, pagesOf(space, request));
      return { value };
    }
    case 'recall-next':
      return { value: await cursors.next(request.space, request.cursor) };
    case 'recall-keep':
      cursors.keep(request.space, request.cursor);
      return { value: undefined };
    case 'recall-close':
      cursors.close(request.space, request.cursor);
      return { value: undefined };
    case 'get': {
      const found = await asking(await spaces.use(request.config), undefined, ({ engine }) =>
        engine.get(request.id),
      );
      if (found === undefined) return { value: undefined };
      const hit = toWire(found, 0, ['metadata', 'embedding', 'timestamp']);
      return { value: { ...hit, sequence: found.sequence } };
    }
    case 'stats': {
      const value = await asking<StatsAnswer>(
        await spaces.use(request.config),
        NO_STATS,
        ({ engine }) => engine.stats,
      );
      return { value };
    }
    case 'indexed': {
      const space = await spaces.use(request.config);
      if (space !== undefined && !space.upkeep.isIndexed) {
        wake(space);
        await new Promise<void>((resolve) => waitingForIndex.add({ space, resolve }));
      }
      return { value: undefined };
    }
    case 'tick':
      return { value: await tick(request.nowMs, request.memory) };
    case 'state':
      return { value: stateOf() };
    case 'complete':
      complete(request.upTo);
      return { value: undefined };
    case 'drop-space':
      cursors.closeAll(request.space);
      await spaces.drop(request.space);
      checkpoints.prune();
      return { value: undefined };
    case 'drops':
      for (const [partition, count] of request.counts) drops.set(partition, count);
      return { value: undefined };
    case 'lost':
      spaces.lose(request.partitions);
      return { value: undefined };
    case 'drop-partitions':
      for (const partition of request.partitions)
        drops.set(partition, (drops.get(partition) ?? 0) + 1);
      await spaces.dropPartitions(request.partitions);
      checkpoints.prune();
      return { value: undefined };
    case 'give-work':
      return { value: await giveWork(spaces, request.rowsMin) };
    case 'give-merge':
      // The graph of a merged segment is in memory until it is in a file.
      return { value: memory === 'normal' ? giveMerge(spaces) : undefined };
    case 'build':
      return { value: await buildSegment(request.job, buildPace()) };
    case 'finish':
      await given(request.result.space, async (space) => {
        await space.upkeep.finish(request.result);
        wake(space);
      });
      return { value: undefined };
    case 'abandon':
      await given(request.space, async (space) => {
        // The files of a space that was deleted are gone, not damaged: the next of its name has others.
        if (!space.upkeep.abandon(request.id)) return;
        if (request.isDamaged) await spaces.damaged(space);
        else wake(space);
      });
      return { value: undefined };
    case 'trust':
      spaces.trust(request.partitions);
      return { value: undefined };
    case 'checkpoint': {
      complete(new Map([[request.partition, request.upTo]]));
      return { value: await checkpoints.take(request.partition, request.prefix) };
    }
    case 'restore':
      return { value: await checkpoints.restore(request.task) };
    case 'restored':
      spaces.restored(request.partition);
      return { value: undefined };
    case 'unload':
      for (const space of [...spaces.loaded()]) await spaces.unload(space);
      return { value: undefined };
  }
}

const NO_STATS: StatsAnswer = {
  count: 0,
  indexed: 0,
  tombstones: 0,
  segments: 0,
  bytes: 0,
  mappedBytes: 0,
  diskBytes: 0,
};

function complete(upTo: ReadonlyMap<PartitionId, number>): void {
  for (const space of spaces.loaded()) {
    const sequence = upTo.get(space.partition);
    if (sequence !== undefined && spaces.isTrusted(space)) space.engine.complete(sequence);
  }
}

async function given(
  id: SpaceId,
  use: (space: LoadedSpace) => void | Promise<void>,
): Promise<void> {
  await withSpace<void>(spaces.peek(id), undefined, use);
}

/** Looks after every space, in slices: there may be ten thousand of them. */
async function tick(nowMs: number, state: MemoryState): Promise<TickAnswer> {
  memory = state;
  const isShort = state !== 'normal';
  cursors.tick(nowMs, isShort);
  collectWhenShort(state);
  const idleMs = isShort
    ? Math.min(IDLE_MS_WHEN_SHORT, settings.idleUnloadMs)
    : settings.idleUnloadMs;
  const idleSince = performance.now() - idleMs;
  if (isShort) spareBlocks.clear();
  else spareBlocks.age();
  const pace = slicedPace();
  let [backlog, bytes, graphBytes, mappedBytes, segments] = [0, 0, 0, 0, 0];
  const idle: LoadedSpace[] = [];
  for (const space of [...spaces.loaded()]) {
    if (pace.isDue()) await pace.turn();
    if (spaces.peek(space.config.space) !== space) continue;
    const { engine, upkeep } = space;
    upkeep.tick(nowMs, isShort);
    if (isShort) upkeep.rollGraphed();
    const { stats } = engine;
    backlog += upkeep.backlog;
    bytes += stats.bytes;
    graphBytes += stats.graphBytes;
    mappedBytes += stats.mappedBytes;
    segments += stats.segments;
    if (upkeep.isUntended || upkeep.backlog > 0 || waitingForIndex.size > 0) wake(space);
    if (space.usedAtMs < idleSince) idle.push(space);
  }
  void unloading.all(idle);
  return {
    ...spaces.counts,
    ...threadMemory(),
    backlog,
    bytes: bytes + spareBlocks.bytes,
    graphBytes: graphBytes + buildBytes(),
    mappedBytes,
    segments,
    faults: spaces.faults.splice(0),
  };
}

/** Cheap: only spaces with a backlog are looked at. */
function stateOf(): WorkerState {
  let backlog = 0;
  for (const { upkeep } of busy) backlog += upkeep.backlog;
  const use = performance.eventLoopUtilization();
  const { utilization } = performance.eventLoopUtilization(use, lastUse);
  lastUse = use;
  return { backlog, busy: utilization };
}

async function* pagesOf(
  space: LoadedSpace,
  request: Extract<WorkerRequest, { readonly verb: 'recall-open' | 'ids-open' }>,
): AsyncGenerator<RecallAnswer, undefined> {
  spaces.requireTrust(space);
  try {
    if (request.verb === 'ids-open') yield* idPages(space.engine, request.asOf);
    else yield* recallPages(space.engine, request);
  } catch (error) {
    throw await afterFault(space, error);
  }
  return undefined;
}

warmUp();
const tell = serveThread(answer);
