import {
  ClusterError,
  parseMemberId,
  partitionOf,
  type MemberId,
  type SpaceConfig,
} from '@engram/model';
import { findSpace } from '../find-space.ts';
import { VerifiedAnswer, VerifyQuery } from '../operator-schemas.ts';
import { answers, SpaceParams } from '../schemas.ts';
import type { GatewayApp, Gateway } from '../server.ts';
import { whileWanted } from '../while-wanted.ts';

export function verifyRoutes(app: GatewayApp, gateway: Gateway): void {
  const { directory, membership, router, verifier, stop } = gateway;

  app.get('/v1/spaces/:space/verify', {
    schema: {
      tags: ['spaces'],
      summary: 'Compare the log with the index of a space, exactly',
      description:
        'Reads all entries of the space. A gateway verifies one space at a time (429 beyond that), and stops when the client goes away.',
      params: SpaceParams,
      querystring: VerifyQuery,
      response: answers({ 200: VerifiedAnswer }),
    },
    handler: async ({ principal, params, query }, reply) => {
      const config = await findSpace(directory, principal, params.space);
      const shard = query.shard === undefined ? undefined : shardOf(query.shard, config);
      const { signal, release } = whileWanted(reply, stop);
      try {
        const verified = await verifier.verify(config, { shard, waitMs: query.waitMs, signal });
        const { afterSequence } = await findSpace(directory, principal, params.space);
        if (afterSequence === config.afterSequence) return verified;
        throw new ClusterError('SPACE_NOT_FOUND', 'the space was made anew meanwhile', {
          hint: 'verify it again',
        });
      } finally {
        release();
      }
    },
  });

  /** @throws ClusterError INVALID_PARAMETER, NOT_OWNER */
  function shardOf(name: string, { space }: SpaceConfig): MemberId {
    const shard = parseMemberId(name);
    if (membership.view.members.get(shard)?.role !== 'shard')
      throw new ClusterError('INVALID_PARAMETER', `there is no shard ${shard}`, {
        pointer: '#shard',
        hint: 'GET /v1/cluster lists the shards',
      });
    const partition = partitionOf(space, router.partitionCount);
    const holders = new Set([
      ...router.candidates(partition).ready,
      ...router.assignment.owners(partition),
    ]);
    if (holders.has(shard)) return shard;
    throw new ClusterError('NOT_OWNER', `${shard} does not hold partition ${partition}`, {
      pointer: '#shard',
      hint: `it is held by ${[...holders].join(', ')}`,
      details: { partition },
    });
  }
}
