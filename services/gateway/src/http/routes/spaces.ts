import {
  ClusterError,
  differingOptions,
  parseSpaceId,
  parseSpaceOptions,
  partitionOf,
  type SpaceConfig,
} from '@engram/model';
import { Type, type Static } from 'typebox';
import { may } from '../../auth/principal.ts';
import type { GatewayApp, Gateway } from '../server.ts';
import {
  answers,
  ListQuery,
  Space,
  SpaceBody,
  SpaceDetails,
  SpaceList,
  SpaceParams,
} from '../schemas.ts';
import { findSpace } from '../find-space.ts';

export function spaceRoutes(app: GatewayApp, gateway: Gateway): void {
  const { directory, router, recall } = gateway;
  const tags = ['spaces'];

  app.put('/v1/spaces/:space', {
    config: { access: 'admin' },
    schema: {
      tags,
      summary: 'Create a space',
      params: SpaceParams,
      body: SpaceBody,
      response: answers({ 200: Space, 201: Space }),
    },
    handler: async (request, reply) => {
      const space = parseSpaceId(request.params.space);
      const options = parseSpaceOptions(request.body);
      const { config, isNew } = await directory.create(
        space,
        partitionOf(space, router.partitionCount),
        options,
      );
      const differing = differingOptions(config, options);
      if (differing.length > 0)
        throw new ClusterError(
          'SPACE_DIFFERS',
          `space ${space} exists with other options: ${differing.join(', ')}`,
          {
            pointer: `/${differing[0] ?? ''}`,
            hint: 'use another name, or delete the space with its data first',
            details: Object.fromEntries(
              differing.map((key) => [key, config[key as keyof SpaceConfig]]),
            ),
          },
        );
      return reply.code(isNew ? 201 : 200).send(publicSpace(config));
    },
  });

  app.get('/v1/spaces', {
    config: { access: 'judged' },
    schema: {
      tags,
      summary: 'List the spaces that one may read, by name',
      querystring: ListQuery,
      response: answers({ 200: SpaceList }),
    },
    handler: (request) => {
      const { principal, query } = request;
      const { limit, cursor } = query;
      const rest = directory
        .list()
        .filter(({ space }) => cursor === undefined || space > cursor)
        .filter(({ space }) => may(principal, 'read', space));
      const page = rest.slice(0, limit);
      const last = page.at(-1);
      return {
        spaces: page.map(publicSpace),
        ...(rest.length > limit && last !== undefined ? { nextCursor: last.space } : {}),
      };
    },
  });

  app.get('/v1/spaces/:space', {
    config: { access: 'read' },
    schema: {
      tags,
      summary: 'A space with its counts',
      params: SpaceParams,
      response: answers({ 200: SpaceDetails }),
    },
    handler: async (request) => {
      const config = await findSpace(directory, request.principal, request.params.space);
      const partition = partitionOf(config.space, router.partitionCount);
      const base = {
        ...publicSpace(config),
        partition,
        owners: [...router.assignment.owners(partition)],
      };
      try {
        const { reply } = await recall.stats(config);
        const { count, indexed, bytes, watermark, isReady } = reply;
        return { ...base, count, indexed, bytes, watermark, degraded: !isReady };
      } catch (error) {
        if (ClusterError.from(error).code !== 'PARTITION_UNAVAILABLE') throw error;
        return { ...base, degraded: true };
      }
    },
  });

  app.delete('/v1/spaces/:space', {
    config: { access: 'admin' },
    schema: {
      tags,
      summary: 'Delete a space with its data',
      params: SpaceParams,
      response: answers({ 204: Type.Null() }),
    },
    handler: async (request, reply) => {
      const { space } = await findSpace(directory, request.principal, request.params.space);
      await directory.delete(space, partitionOf(space, router.partitionCount));
      return reply.code(204).send(null);
    },
  });
}

/** A space without what only the cluster needs. */
function publicSpace({ afterSequence: _internal, ...rest }: SpaceConfig): Static<typeof Space> {
  return rest;
}
