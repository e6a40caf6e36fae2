// Entry of the thread behind `publishLoad`.

import { setTimeout as pause } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { EngramClient } from '@engram/client';
import { NatsWriter } from '@engram/client/nats';
import { CONTENT_TYPES, encodeFrame } from '@engram/codec';
import { ClusterError, type Observation } from '@engram/model';
import { connect, headers } from 'nats';
import type { PublishLoadOptions, PublishTally, Way } from './publish-load.ts';

const RETRY_MS = 100;

if (parentPort === null) throw new Error('this file is the entry of a thread');
const port = parentPort;
const options = workerData as PublishLoadOptions;
const { way, url, natsUrl, space, slab, dimension, batchCount, senders, warmUpMs, durationMs } =
  options;

interface Path extends AsyncDisposable {
  /** Resolves when the log has the batch. */
  send(batch: number): Promise<unknown>;
}

let sent = 0;
const batchFloats = dimension * batchCount;
const batchesOf = Math.floor(slab.length / batchFloats);
const idsOf = (batch: number) => Array.from({ length: batchCount }, (_, i) => `v${batch}-${i}`);

const PATHS: Readonly<Record<Way, () => Promise<Path>>> = {
  bare: async () => {
    const nats = await connect({ servers: natsUrl });
    const stream = nats.jetstream();
    const head = headers();
    head.set('Content-Type', CONTENT_TYPES.frame);
    const none = Array.from({ length: batchCount }, () => undefined);
    const frames = Array.from({ length: batchesOf }, (_, batch) =>
      encodeFrame({
        dimension,
        ids: idsOf(batch),
        deletes: [],
        embeddings: slab.subarray(batch * batchFloats, (batch + 1) * batchFloats),
        timestamps: none.map(() => NaN),
        metadata: none,
      }),
    );
    return {
      send: (batch) => stream.publish(`observe.normal.${space}`, frames[batch], { headers: head }),
      [Symbol.asyncDispose]: () => nats.close(),
    };
  },
  http: () => {
    const client = new EngramClient({ url });
    const batches = observations();
    return Promise.resolve({
      send: (batch: number) => client.put(space, batches[batch]!),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  },
  nats: async () => {
    const writer = await NatsWriter.connect({ url: natsUrl });
    const batches = observations();
    return {
      send: (batch) => writer.put(space, batches[batch]!),
      [Symbol.asyncDispose]: () => writer.close(),
    };
  },
};

function observations(): Observation[][] {
  return Array.from({ length: batchesOf }, (_, batch) =>
    idsOf(batch).map((id, i) => {
      const from = batch * batchFloats + i * dimension;
      return { id, embedding: slab.subarray(from, from + dimension) };
    }),
  );
}

await using path = await PATHS[way]();
// Loading what is loaded with the first request, and compiling it, took a third of the time.
await sendFor(warmUpMs);
port.postMessage(await sendFor(durationMs));
port.close();

async function sendFor(ms: number): Promise<PublishTally> {
  const startedAt = performance.now();
  const tally = { batches: 0, failed: 0 };
  const isOver = () => performance.now() - startedAt >= ms;
  await Promise.all(Array.from({ length: senders }, () => sender(isOver, tally)));
  return { ...tally, elapsedMs: performance.now() - startedAt };
}

async function sender(
  isOver: () => boolean,
  tally: { batches: number; failed: number },
): Promise<void> {
  while (!isOver()) {
    try {
      await path.send(sent++ % batchesOf);
      tally.batches++;
    } catch (error) {
      tally.failed++;
      const told = error instanceof ClusterError ? error.details['retryAfterMs'] : undefined;
      await pause(typeof told === 'number' ? told : RETRY_MS);
    }
  }
}
