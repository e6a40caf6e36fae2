import { EngramClient } from '@engram/client';
import { LocalCluster } from '@engram/local-cluster';
import { tempDir } from './temp-dir.ts';
import { until } from './until.ts';

interface TestClusterOptions {
  readonly shards: number;
  readonly gateways?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export interface TestCluster extends AsyncDisposable {
  readonly cluster: LocalCluster;
  /** Asks the first gateway. */
  readonly client: EngramClient;
  /** Waits until every partition is served by the shard that the ring names. */
  whenSettled(): Promise<void>;
}

interface ClusterAnswer {
  readonly degraded: boolean;
  readonly members: readonly { readonly id: string; readonly role: string }[];
  readonly partitions: readonly {
    readonly owner: string | null;
    readonly serving: string | null;
  }[];
}

/** Real servers and services on free ports in a folder of its own; no process is restarted. */
export async function startTestCluster(options: TestClusterOptions): Promise<TestCluster> {
  const folder = await tempDir();
  let cluster: LocalCluster;
  try {
    cluster = await LocalCluster.start({
      dataDir: folder.path,
      shards: options.shards,
      gateways: options.gateways ?? 1,
      port: 0,
      env: { ENGRAM_WORKERS: '1', ...options.env },
    });
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw error;
  }
  const client = new EngramClient({ url: cluster.url });
  const whenSettled = async () => {
    for (const { url } of cluster.gateways)
      await until('every partition is served by its owner', async () => {
        const response = await fetch(`${url}/v1/cluster`);
        const { degraded, members, partitions } = (await response.json()) as ClusterAnswer;
        const shards = members.filter(({ role }) => role === 'shard').length;
        const running = cluster.shards.filter((shard) => shard.running).length;
        return (
          !degraded &&
          shards === running &&
          partitions.every(({ owner, serving }) => owner !== null && owner === serving)
        );
      });
  };
  await whenSettled();
  return {
    cluster,
    client,
    whenSettled,
    async [Symbol.asyncDispose]() {
      await cluster.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}
