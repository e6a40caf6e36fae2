// Ours: a cluster of one gateway and one shard, by the SDK through the gateway.

import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EngramClient } from '@engram/client';
import { K } from '../dataset.ts';
import { onFreshCluster, type FreshCluster } from '../fresh-cluster.ts';
import { untilAborted, type Peer, type PeerContext, type Running, type Search } from './peer.ts';
import { searchLoad } from './search-load.ts';
import { diskBytesOf } from './system-server.ts';

const SPACE = 'observations';
const SPACE_AGAIN = 'again';
/** One space lives on one shard. */
const SHARDS = 1;
const INDEXED_POLL_MS = 50;
const RESTED_POLL_MS = 100;
const EFS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256];

export const engram: Peer = {
  name: 'Engram, 1 gateway, 1 shard',
  terms:
    'a producer of the SDK over HTTP, its default batches; acknowledged: in the file store of JetStream, which syncs by its default interval; written: until the space says that all are in the graph',
  settings: EFS.map((ef) => ({ label: `ef ${ef}`, ef })),
  isRepeated: true,
  absence: () => undefined,
  whileRunning: (context, measure) =>
    onFreshCluster(
      context,
      async (fresh) => {
        const { dimension } = context.vectors;
        for (const space of [SPACE, SPACE_AGAIN])
          await fresh.client.createSpace(space, { dimension }, { signal: context.signal });
        return measure(new RunningCluster(context, fresh));
      },
      SHARDS,
    ),
};

class RunningCluster implements Running {
  readonly #context: PeerContext;
  readonly #fresh: FreshCluster;
  /** Without the tries that users want: their pauses would be measured. */
  readonly #client: EngramClient;

  constructor(context: PeerContext, fresh: FreshCluster) {
    this.#context = context;
    this.#fresh = fresh;
    this.#client = new EngramClient({ url: fresh.url, retries: 0 });
  }

  pids(): readonly number[] {
    const { nats, redis, gateways } = this.#fresh.cluster;
    return [nats, redis, ...gateways].map(({ pid }) => pid).concat(this.storePids());
  }

  storePids(): readonly number[] {
    return this.#fresh.cluster.shards.filter(({ running }) => running).map(({ pid }) => pid);
  }

  load(): Promise<void> {
    return this.#loadInto(SPACE);
  }

  loadAgain(): Promise<void> {
    return this.#loadInto(SPACE_AGAIN);
  }

  async #loadInto(space: string): Promise<void> {
    const { vectors, signal } = this.#context;
    const { client } = this.#fresh;
    const producer = client.use(space).producer({ signal });
    const { count, dimension, slab } = vectors;
    for (let row = 0; row < count; row++) {
      const embedding = slab.subarray(row * dimension, (row + 1) * dimension);
      await producer.write({ id: String(row), embedding });
    }
    await producer.close();
    for (;;) {
      const status = await client.space(space, { signal });
      if (status.count === count && status.indexed === count) return;
      await pause(INDEXED_POLL_MS, undefined, { signal });
    }
  }

  ask(load: Parameters<Running['ask']>[0]): ReturnType<Running['ask']> {
    const { vectors, signal } = this.#context;
    const search: Search = async (embedding, { ef }) => {
      const { results, degraded } = await this.#client.recall(SPACE, { embedding, k: K, ef });
      if (degraded) throw new Error('a part of the space was not asked');
      return results.map(({ id }) => Number(id));
    };
    const searches = Array.from({ length: load.clients }, () => search);
    return untilAborted(searchLoad(searches, vectors.queries, load, signal), signal);
  }

  async disk() {
    const { dataDir } = this.#fresh.cluster;
    return {
      storeBytes: await diskBytesOf(join(dataDir, 'segments')),
      logBytes: await diskBytesOf(join(dataDir, 'nats')),
    };
  }

  /** Until everything is in a checkpoint. */
  async rest(): Promise<void> {
    for (const shard of this.#fresh.cluster.shards)
      for (;;) {
        const text = await (await fetch(`${shard.url}/metrics`)).text();
        if (/^engram_checkpoint_age_seconds(\{.*\})? 0$/m.test(text)) break;
        await pause(RESTED_POLL_MS, undefined, { signal: this.#context.signal });
      }
  }

  async kill(): Promise<void> {
    const { shards } = this.#fresh.cluster;
    for (const shard of shards) shard.signal('SIGKILL');
    await Promise.all(shards.map(({ exited }) => exited));
  }

  async start(): Promise<void> {
    await Promise.all(this.#fresh.cluster.shards.map((shard) => shard.start()));
  }
}
