import { EngramClient } from '@engram/client';
import { LocalCluster, type LocalClusterOptions } from '@engram/local-cluster';
import { tempDir } from './temp-dir.ts';
import { until } from './until.ts';

interface TestClusterOptions {
  readonly shards: number;
  readonly gateways?: number;
  /** Of an operator, where gateways want to know who asks. */
  readonly apiKey?: string;
  /** Where its only gateway serves operators, if not where it serves all. */
  readonly adminPort?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly entries?: LocalClusterOptions['entries'];
  readonly onCreate?: LocalClusterOptions['onCreate'];
  /** Called with the folder before anything starts in it; what it gives back is called at the end. */
  readonly prepare?: (folder: string) => Promise<() => Promise<void>>;
}

export interface TestCluster extends AsyncDisposable {
  readonly cluster: LocalCluster;
  /** Asks the first gateway. */
  readonly client: EngramClient;
  /** Waits until every partition is served by the shards that the ring names, all of them. */
  whenSettled(deadlineMs?: number): Promise<void>;
}

interface ClusterAnswer {
  readonly degraded: boolean;
  readonly members: readonly { readonly id: string; readonly role: string }[];
  readonly partitions: readonly {
    readonly owners: readonly string[];
    readonly readyOwners: number;
    readonly serving: string | null;
  }[];
}

/** Real servers and services on free ports in a folder of its own; no process is restarted. */
export async function startTestCluster(options: TestClusterOptions): Promise<TestCluster> {
  const { shards, gateways = 1, apiKey, adminPort, env, entries, onCreate, prepare } = options;
  const folder = await tempDir();
  const admin = adminPort === undefined ? {} : { ENGRAM_ADMIN_PORT: String(adminPort) };
  let undo: (() => Promise<void>) | undefined;
  let cluster: LocalCluster;
  try {
    undo = await prepare?.(folder.path);
    cluster = await LocalCluster.start({
      dataDir: folder.path,
      shards,
      gateways,
      port: 0,
      // A gateway that is late because the machine is busy with tests is not to refuse their writes.
      env: { ENGRAM_WORKERS: '1', ENGRAM_LOOP_DELAY_MAX_MS: '0', ...admin, ...env },
      ...(entries === undefined ? {} : { entries }),
      ...(onCreate === undefined ? {} : { onCreate }),
    });
  } catch (error) {
    await undo?.();
    await folder[Symbol.asyncDispose]();
    throw error;
  }
  const client = new EngramClient({ url: cluster.url, apiKey });
  const whenSettled = async (deadlineMs?: number) => {
    const urls =
      adminPort === undefined
        ? cluster.gateways.map(({ url }) => url)
        : [`http://127.0.0.1:${adminPort}`];
    for (const url of urls)
      await until(
        'every partition is served by its owners',
        async () => {
          const response = await fetch(`${url}/v1/cluster`, {
            headers: apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` },
          });
          const answer = (await response.json()) as ClusterAnswer;
          const { degraded, members, partitions } = answer;
          const joined = members.filter(({ role }) => role === 'shard').length;
          const running = cluster.shards.filter((shard) => shard.running).length;
          const unsettled = partitions.filter(
            ({ owners, readyOwners, serving }) =>
              owners.length === 0 || owners.length !== readyOwners || owners[0] !== serving,
          );
          if (!degraded && joined === running && unsettled.length === 0) return true;
          // Shown where it lasts too long.
          throw new Error(
            `${joined} of ${running} shards, ${unsettled.length} partitions, ${JSON.stringify({ ...answer, partitions: unsettled.slice(0, 3) })}`,
          );
        },
        deadlineMs,
      );
  };
  await whenSettled();
  return {
    cluster,
    client,
    whenSettled,
    async [Symbol.asyncDispose]() {
      await cluster.close();
      await undo?.();
      await folder[Symbol.asyncDispose]();
    },
  };
}
