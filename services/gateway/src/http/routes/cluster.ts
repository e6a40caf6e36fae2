import type { PartitionId } from '@engram/model';
import { describeMember, shardStatuses } from '../members.ts';
import { reasonsOf } from '../reasons.ts';
import { ringOf, RingSchema } from '../ring.ts';
import { answers } from '../schemas.ts';
import type { GatewayApp, Gateway } from '../server.ts';
import { logFill, serversOf } from '../servers.ts';

export function clusterRoutes(app: GatewayApp, gateway: Gateway): void {
  const { membership, router, connection, board, config, refusals } = gateway;
  const tags = ['cluster'];

  app.get('/v1/cluster', {
    schema: { tags, summary: 'Members, ring and lag' },
    handler: async () => {
      const { view } = membership;
      const [statuses, servers] = await Promise.all([
        shardStatuses(connection, view),
        serversOf(connection, membership, config.ENGRAM_STRIPES),
      ]);
      const partitions = Array.from({ length: router.partitionCount }, (_, partition) => {
        const { ready } = router.candidates(partition as PartitionId);
        const owners = router.assignment.owners(partition as PartitionId);
        return {
          partition,
          owner: owners[0] ?? null,
          owners,
          ready: ready.length > 0,
          readyOwners: owners.filter((id) => ready.includes(id)).length,
          serving: ready[0] ?? null,
        };
      });
      const unserved = partitions.filter(({ ready }) => !ready).length;
      const reasons = reasonsOf({
        hasNats: connection.isConnected,
        hasRedis: membership.isCurrent,
        logFill: logFill(servers),
        unserved,
        shards: view.shards.map((id) => ({
          id,
          signal: board.of(id),
          storageFault: statuses.get(id)?.storageFault,
        })),
      });
      return {
        cluster: config.ENGRAM_CLUSTER,
        time: new Date().toISOString(),
        epoch: view.epoch,
        partitionCount: router.partitionCount,
        replication: view.replication,
        degraded: reasons.length > 0,
        reasons,
        limited: refusals.list,
        membershipAgeMs: Math.round(membership.ageMs),
        ...servers,
        members: [...view.members.values()]
          .sort((left, right) => (left.id < right.id ? -1 : 1))
          .map((member) =>
            describeMember(
              member,
              router.assignment.partitionsOf(member.id).length,
              statuses.get(member.id),
              board.of(member.id),
            ),
          ),
        partitions,
      };
    },
  });

  app.get('/v1/ring', {
    schema: {
      tags,
      summary: 'Who owns which partition, and what moves',
      response: answers({ 200: RingSchema }),
    },
    handler: async () => {
      const { view } = membership;
      // Both of one moment: the view may be another one once the shards have answered.
      const { assignment } = router;
      const statuses = await shardStatuses(connection, view);
      return ringOf(config.ENGRAM_CLUSTER, view, assignment, statuses);
    },
  });
}
