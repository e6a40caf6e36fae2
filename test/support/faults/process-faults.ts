import { join } from 'node:path';
import { startService, type ClusterMember } from '@engram/local-cluster';
import { pickOne } from '../random.ts';
import { killMember, revive, type ChaosCluster } from './chaos-cluster.ts';
import type { FaultContext, FaultKind } from './fault.ts';

type Group = (running: ChaosCluster) => readonly ClusterMember[];

const shards: Group = ({ cluster }) => cluster.shards;
const gateways: Group = ({ cluster }) => cluster.gateways;
const nats: Group = ({ cluster }) => [cluster.nats];
const redis: Group = ({ cluster }) => [cluster.redis];

export function pickMember(
  { running, busy, random }: FaultContext,
  group: Group,
): ClusterMember | undefined {
  const free = group(running).filter((member) => member.running && !busy.has(member.id));
  return free.length === 0 ? undefined : pickOne(free, random);
}

function kill(group: Group, lastsMs: readonly [number, number]): FaultKind {
  return {
    lastsMs,
    inject: async (context) => {
      const member = pickMember(context, group);
      if (member === undefined) return undefined;
      await killMember(member);
      return { target: member.id, heal: () => revive(member) };
    },
  };
}

/** A stopped process keeps its connections and its belief that it owns what it owned. */
function stop(group: Group, lastsMs: readonly [number, number]): FaultKind {
  return {
    lastsMs,
    inject: (context) => {
      const member = pickMember(context, group);
      if (member === undefined) return Promise.resolve(undefined);
      member.signal('SIGSTOP');
      const heal = (): Promise<void> => {
        member.signal('SIGCONT');
        return Promise.resolve();
      };
      return Promise.resolve({ target: member.id, heal });
    },
  };
}

const restartAll: FaultKind = {
  lastsMs: [0, 500],
  isAlone: true,
  inject: async ({ running }) => {
    const { cluster } = running;
    const services = [...cluster.gateways, ...cluster.shards];
    await Promise.all([...services, cluster.redis, cluster.nats].map(killMember));
    return {
      target: 'all',
      heal: async () => {
        await Promise.all([cluster.nats, cluster.redis].map(revive));
        await Promise.all(services.map(revive));
      },
    };
  },
};

/** A second shard under a member's id must end and leave the first one alone. */
const sameId: FaultKind = {
  lastsMs: [0, 500],
  inject: (context) => {
    const member = pickMember(context, shards);
    if (member === undefined) return Promise.resolve(undefined);
    const { running } = context;
    const { cluster, env } = running;
    const second = startService({
      kind: 'shard',
      name: `${member.id}, a second time`,
      logFile: join(cluster.dataDir, 'logs', `${member.id}-twin.log`),
      env: {
        ...env,
        ENGRAM_WORKERS: '1',
        ENGRAM_MEMBER_ID: member.id,
        ENGRAM_NATS_URL: cluster.nats.url,
        ENGRAM_REDIS_URL: cluster.redis.url,
        // Also its folder, as when somebody starts the same thing twice.
        ENGRAM_DATA_DIR: running.shardFolder(member.id),
      },
    }).then(
      async (service) => {
        await service.close();
        return 'it started';
      },
      (error: unknown) => String(error),
    );
    return Promise.resolve({
      target: member.id,
      heal: async () => {
        const outcome = await second;
        if (!outcome.includes('MEMBER_ID_TAKEN'))
          throw new Error(`a second ${member.id} was not refused: ${outcome}`);
        if (!member.running) throw new Error(`${member.id} ended because of a second one`);
      },
    });
  },
};

export const PROCESS_FAULTS = {
  'kill-shard': kill(shards, [500, 6_000]),
  // Beyond the lease, so that others take over, or within it.
  'stop-shard': stop(shards, [1_000, 7_000]),
  'kill-gateway': kill(gateways, [500, 3_000]),
  'stop-gateway': stop(gateways, [1_000, 5_000]),
  'kill-nats': kill(nats, [100, 4_000]),
  'stop-nats': stop(nats, [1_000, 6_000]),
  'kill-redis': kill(redis, [100, 6_000]),
  'stop-redis': stop(redis, [1_000, 6_000]),
  'restart-all': restartAll,
  'same-id': sameId,
} as const satisfies Record<string, FaultKind>;
