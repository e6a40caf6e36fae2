import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EngramClient } from '@engram/client';
import { LocalCluster } from '@engram/local-cluster';
import type { GroupContext } from './group.ts';

export const GATEWAYS = 1;
export const SHARDS = 2;
const SETTLE_MS_MAX = 60_000;
const POLL_MS = 50;

export interface FreshCluster {
  readonly cluster: LocalCluster;
  readonly client: EngramClient;
  readonly url: string;
  readonly natsUrl: string;
}

/**
 * Runs something on a new cluster in a folder of its own, with default settings but for those given. All
 * processes have ended and the folder is gone when it resolves, however the run ended.
 */
export async function onFreshCluster<T>(
  { servers, signal }: Pick<GroupContext, 'servers' | 'signal'>,
  run: (cluster: FreshCluster) => Promise<T>,
  shards = SHARDS,
  env: Readonly<Record<string, string>> = {},
): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), 'engram-bench-'));
  try {
    await using cluster = await LocalCluster.start({
      dataDir,
      gateways: GATEWAYS,
      shards,
      port: 0,
      env,
      binaries: servers,
      signal,
    });
    await settled(cluster.url, shards, signal);
    const client = new EngramClient({ url: cluster.url });
    return await run({ cluster, client, url: cluster.url, natsUrl: cluster.nats.url });
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

interface Place {
  readonly owner: string | null;
  readonly serving: string | null;
}

/** Until every partition is served by the shard that the ring names. */
export async function settled(url: string, shards: number, signal: AbortSignal): Promise<void> {
  const end = performance.now() + SETTLE_MS_MAX;
  while (performance.now() < end) {
    const response = await fetch(`${url}/v1/cluster`, { signal });
    const { degraded, members, partitions } = (await response.json()) as {
      readonly degraded: boolean;
      readonly members: readonly { readonly role: string }[];
      readonly partitions: readonly Place[];
    };
    if (
      !degraded &&
      members.filter(({ role }) => role === 'shard').length === shards &&
      partitions.every(({ owner, serving }) => owner !== null && owner === serving)
    )
      return;
    await pause(POLL_MS, undefined, { signal });
  }
  throw new Error(`the cluster was not settled within ${SETTLE_MS_MAX} ms`);
}

/** Until nothing waits in the log any more. */
export async function applied(client: EngramClient, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { members } = await client.cluster({ signal });
    if (members.every(({ lag = 0 }) => lag === 0)) return;
    await pause(POLL_MS, undefined, { signal });
  }
}
