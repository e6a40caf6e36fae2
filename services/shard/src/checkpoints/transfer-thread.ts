// Moves checkpoints to and from the blob store, on a thread of its own with a connection of its own:
// checksums of hundreds of megabytes must not hold up heartbeats, nor large answers the log.

import { workerData } from 'node:worker_threads';
import { LogConnection, ObjectBlobs } from '@engram/log';
import { createLogger, systemClock } from '@engram/runtime';
import { CheckpointStore, FolderBlobs, SegmentCache, type BlobStore } from '@engram/storage';
import { serveThread } from '@engram/worker-pool';
import type { TransferRequest, TransferSettings } from './transfers.ts';

const settings = workerData as TransferSettings;

async function openBlobs(): Promise<BlobStore> {
  if (settings.blobFolder !== undefined) return FolderBlobs.start(settings.blobFolder);
  const { member, logLevel, natsUrl, connectTimeoutMs, replicas } = settings;
  const connection = await LogConnection.start({
    url: natsUrl,
    name: `${member}-checkpoints`,
    connectTimeoutMs,
    clock: systemClock,
    logger: createLogger('shard', member, logLevel),
  });
  return ObjectBlobs.start(connection, replicas);
}

const cache = await SegmentCache.open(settings.cacheFolder);
const store = new CheckpointStore(await openBlobs(), cache);

async function answer(request: TransferRequest): Promise<unknown> {
  switch (request.verb) {
    case 'save':
      return store.save(request.checkpoint);
    case 'fetch':
      return store.fetch(request.ref);
    case 'head':
      return store.head(request.ref);
    case 'find':
      return store.find(request.name);
    case 'remove':
      return store.remove(request.names);
    case 'names':
      return store.names();
    case 'sweep-cache': {
      const kept = new Set(request.use.kept);
      const whole = new Set<number>(request.use.whole);
      const isOfUse = (name: string) => kept.has(name) || whole.has(Number(name.split('.')[0]));
      return cache.sweep(isOfUse, request.olderThanMs);
    }
  }
}

serveThread(async (request) => ({ value: await answer(request as TransferRequest) }));
