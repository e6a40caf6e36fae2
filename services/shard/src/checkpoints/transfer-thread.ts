// Moves checkpoints to and from the blob store, on a thread of its own with a connection of its own:
// checksums of hundreds of megabytes must not hold up heartbeats, nor large answers the log.

import { workerData } from 'node:worker_threads';
import { LogConnection, openBlobs } from '@engram/log';
import type { PartitionId } from '@engram/model';
import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { CheckpointStore, SegmentCache } from '@engram/storage';
import { giveWay, serveThread } from '@engram/worker-pool';
import type { CacheUse, TransferRequest, TransferSettings } from './transfers.ts';

const settings = workerData as TransferSettings;

function connect(): Promise<LogConnection> {
  const { member, logLevel, nats, connectTimeoutMs } = settings;
  return LogConnection.start({
    ...nats,
    name: `${member}-checkpoints`,
    connectTimeoutMs,
    clock: systemClock,
    logger: createLogger('shard', member, logLevel),
  });
}

const cache = await SegmentCache.open(settings.cacheFolder);
const store = new CheckpointStore(await openBlobs(settings.blobs, connect), cache);

async function answer(request: TransferRequest): Promise<unknown> {
  switch (request.verb) {
    case 'save':
      return store.save(request.checkpoint);
    case 'fetch':
      return store.fetch(request.partition, request.ref);
    case 'head':
      return store.head(request.partition, request.ref);
    case 'find':
      return store.find(request.name);
    case 'remove':
      return store.remove(request.names);
    case 'lost':
      return store.lost(request.names);
    case 'names':
      return store.names();
    case 'sweep-cache':
      return sweep(request.use, request.olderThanMs);
  }
}

async function sweep(
  { kept, written, held }: CacheUse,
  olderThanMs: number | undefined,
): Promise<number> {
  const isShort = await cache.isDiskShort();
  const untilMs = isShort ? Date.now() : olderThanMs;
  if (untilMs === undefined) return 0;
  const [keptNames, writtenHere, heldHere] = [new Set(kept), new Set(written), new Set(held)];
  const isOfUse = (name: string): boolean => {
    const parts = name.split('.');
    const partition = Number(parts[0]) as PartitionId;
    // Files on their way have one more part; they go when they are old.
    if (parts.length > BLOB_NAME_PARTS) return isShort;
    if (keptNames.has(name)) return true;
    return heldHere.has(partition) && (isShort || !writtenHere.has(partition));
  };
  return cache.sweep(isOfUse, untilMs);
}

/** Below the worker threads: the library's checksums in JavaScript took half a core of an import. */
const NICENESS = 10;

/** Partition, epoch and a random part. */
const BLOB_NAME_PARTS = 3;

giveWay(NICENESS);
serveThread(async (request) => ({ value: await answer(request as TransferRequest) }));
