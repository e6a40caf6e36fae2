// A worker thread: it owns the indices of its spaces and knows nothing of NATS or Redis. Recalls are
// answered as they come; applying and graph building go on between them in slices, so that a recall
// waits for one slice at most.

import { embeddingBytes, embeddingOf, type Include, type WireHit } from '@engram/codec';
import { compileFilter, type PartitionId } from '@engram/model';
import type { Hit, SpaceEngine, StoredObservation } from '@engram/space-engine';
import { LaneQueues, serveThread, type ThreadAnswer } from '@engram/worker-pool';
import type { ApplyAnswer, RecallAnswer, TotalsAnswer, WorkerRequest } from './protocol.ts';
import { SpaceTable } from './space-table.ts';

/** A slice of graph building; a recall waits that long at most behind it. */
const BUILD_SLICE_MS = 4;

type Apply = Extract<WorkerRequest, { verb: 'apply' }>;

interface ApplyTask {
  readonly request: Apply;
  /** How often the partition had been dropped when the task came. */
  readonly drops: number;
  readonly resolve: (answer: ApplyAnswer) => void;
  readonly reject: (error: unknown) => void;
}

const spaces = new SpaceTable();
const queues = new LaneQueues<ApplyTask>();
const drops = new Map<PartitionId, number>();
const waitingForIndex = new Set<{ engine: SpaceEngine; resolve: () => void }>();
let isRunning = false;

function dropCount(partition: PartitionId): number {
  return drops.get(partition) ?? 0;
}

function enqueue(request: Apply): Promise<ApplyAnswer> {
  return new Promise((resolve, reject) => {
    queues.push(request.lane, { request, drops: dropCount(request.partition), resolve, reject });
    run();
  });
}

/** Starts the loop unless it runs; each round gives the event loop, and so recalls, a turn. */
function run(): void {
  if (isRunning) return;
  isRunning = true;
  setImmediate(round);
}

function round(): void {
  const task = queues.take();
  if (task !== undefined) apply(task);
  const stopAt = performance.now() + BUILD_SLICE_MS;
  const hasMore = spaces.build(() => performance.now() >= stopAt);
  for (const waiting of waitingForIndex) {
    if (!waiting.engine.isIndexed) continue;
    waitingForIndex.delete(waiting);
    waiting.resolve();
  }
  if (hasMore || queues.size > 0) setImmediate(round);
  else isRunning = false;
}

function apply({ request, drops: dropsThen, resolve, reject }: ApplyTask): void {
  const { config, partition, sequence, kind, bytes } = request;
  // The shard let the partition go meanwhile; its next replay brings the entry again.
  if (dropsThen !== dropCount(partition)) {
    resolve({ applied: 0, stale: 0, errors: [] });
    return;
  }
  try {
    resolve(spaces.apply(config, partition, sequence, kind, bytes));
  } catch (error) {
    reject(error);
  }
}

async function answer(body: unknown): Promise<ThreadAnswer> {
  const request = body as WorkerRequest;
  switch (request.verb) {
    case 'apply': {
      const value = await enqueue(request);
      return { value, ...(value.bytes === undefined ? {} : { transfer: [value.bytes.buffer] }) };
    }
    case 'recall': {
      const { config, k, ef, filter, include } = request;
      const hits = spaces.engine(config).recall({
        embedding: embeddingOf(request.embedding),
        k,
        ...(ef === undefined ? {} : { ef }),
        ...(filter === undefined ? {} : { filter: compileFilter(filter) }),
      });
      const value: RecallAnswer = hits.map((hit) => toWire(hit, hit.score, include));
      return { value };
    }
    case 'get': {
      const found = spaces.engine(request.config).get(request.id);
      if (found === undefined) return { value: undefined };
      const hit = toWire(found, 0, ['metadata', 'embedding', 'timestamp']);
      return { value: { ...hit, sequence: found.sequence } };
    }
    case 'stats':
      return { value: spaces.engine(request.config).stats };
    case 'indexed': {
      const engine = spaces.engine(request.config);
      if (!engine.isIndexed) {
        await new Promise<void>((resolve) => {
          waitingForIndex.add({ engine, resolve });
          run();
        });
      }
      return { value: undefined };
    }
    case 'totals': {
      const value: TotalsAnswer = spaces.totals;
      return { value };
    }
    case 'prune':
      spaces.prune(request.upTo);
      return { value: undefined };
    case 'drop-space':
      spaces.drop(request.space);
      return { value: undefined };
    case 'drop-partitions':
      for (const partition of request.partitions) drops.set(partition, dropCount(partition) + 1);
      spaces.dropPartitions(request.partitions);
      return { value: undefined };
  }
}

function toWire(row: StoredObservation | Hit, score: number, include: readonly Include[]): WireHit {
  return {
    id: row.id,
    score,
    ...(include.includes('metadata') && row.metadata !== undefined
      ? { metadata: row.metadata }
      : {}),
    ...(include.includes('embedding')
      ? { embedding: embeddingBytes(Float32Array.from(row.embedding)) }
      : {}),
    ...(include.includes('timestamp') && !Number.isNaN(row.timestamp)
      ? { timestamp: row.timestamp }
      : {}),
  };
}

serveThread(answer);
