import { WHOLE_CLUSTER } from '@engram/access';
import { deadLetterNotFound, type DeadLetter, type DeadLetterFilter } from '@engram/log';
import { ClusterError, ERRORS } from '@engram/model';
import { may, requireScope, type Principal } from '../../auth/principal.ts';
import {
  DeadLetterAnswer,
  DeadLetterList,
  DeadLetterParams,
  DeadLettersQuery,
  Payload,
  PurgedAnswer,
  PurgeQuery,
  RedriveBody,
  RedrivenAnswer,
} from '../operator-schemas.ts';
import { answers } from '../schemas.ts';
import type { GatewayApp, Gateway } from '../server.ts';

export function deadLetterRoutes(app: GatewayApp, { deadLetters }: Gateway): void {
  const tags = ['dead letters'];

  /** Who does not run the cluster is told of those of own spaces only, and of others nothing at all. */
  const find = async (principal: Principal, id: string): Promise<DeadLetter> => {
    const letter = await deadLetters.get(id);
    if (may(principal, 'admin', letter.space ?? WHOLE_CLUSTER)) return letter;
    throw deadLetterNotFound(id);
  };

  app.get('/v1/dead-letters', {
    config: { access: 'judged' },
    schema: {
      tags,
      summary:
        'List dead letters: entries of the log that could not be applied, or not all of them',
      description: 'A page may have fewer than limit, even none, and not be the last one.',
      querystring: DeadLettersQuery,
      response: answers({ 200: DeadLetterList }),
    },
    handler: ({ principal, query }) => {
      requireAdmin(principal, query.space);
      requireReason(query.reason, '#reason');
      return deadLetters.list(query);
    },
  });

  app.get('/v1/dead-letters/:id', {
    config: { access: 'judged' },
    schema: {
      tags,
      summary: 'One dead letter without its payload',
      params: DeadLetterParams,
      response: answers({ 200: DeadLetterAnswer }),
    },
    handler: ({ principal, params }) => find(principal, params.id),
  });

  app.get('/v1/dead-letters/:id/payload', {
    config: { access: 'judged' },
    schema: {
      tags,
      summary: 'The payload of a dead letter, as it was published',
      params: DeadLetterParams,
      response: answers({ 200: Payload }),
    },
    handler: async ({ principal, params }, reply) => {
      await find(principal, params.id);
      const { letter, bytes } = await deadLetters.payload(params.id);
      // Anybody may have published it under any type: a browser must not run it as a page of ours.
      return reply
        .headers({
          'content-type': letter.contentType ?? 'application/octet-stream',
          'content-disposition': `attachment; filename="dead-letter-${letter.id}"`,
          'content-security-policy': 'sandbox',
          'x-content-type-options': 'nosniff',
        })
        .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    },
  });

  app.post('/v1/dead-letters/redrive', {
    config: { access: 'judged' },
    schema: {
      tags,
      summary: 'Put dead letters into the log again',
      description:
        'Their payloads become new entries: what they write wins over what was written since. What still cannot be applied becomes a new dead letter. 207 where some were refused; one alone that is refused is a problem.',
      body: RedriveBody,
      response: answers({ 200: RedrivenAnswer, 207: RedrivenAnswer }),
    },
    handler: async ({ principal, body }, reply) => {
      requireAdmin(principal, body.space);
      const { ids, cursor, ...rest } = body;
      const choice = { ...rest, ids };
      requireChoice(choice, '');
      const result = await deadLetters.redrive(
        ids === undefined ? filterOf(rest) : { ids },
        cursor,
      );
      const [refusal] = result.refused;
      if (ids?.length === 1 && refusal !== undefined)
        throw new ClusterError(refusal.code, refusal.detail, {
          pointer: '/ids/0',
          ...(refusal.hint === undefined ? {} : { hint: refusal.hint }),
        });
      return reply.code(refusal === undefined ? 200 : 207).send(result);
    },
  });

  app.delete('/v1/dead-letters', {
    config: { access: 'judged' },
    schema: {
      tags,
      summary: 'Purge dead letters for good',
      querystring: PurgeQuery,
      response: answers({ 200: PurgedAnswer }),
    },
    handler: ({ principal, query }) => {
      requireAdmin(principal, query.space);
      const { cursor, ...choice } = query;
      requireChoice(choice, '#');
      return deadLetters.purge(filterOf(choice), cursor);
    },
  });

  app.delete('/v1/dead-letters/:id', {
    config: { access: 'judged' },
    schema: {
      tags,
      summary: 'Purge one dead letter for good',
      params: DeadLetterParams,
      response: answers({ 200: PurgedAnswer }),
    },
    handler: async ({ principal, params }) => {
      await find(principal, params.id);
      return deadLetters.purge({ ids: [params.id] });
    },
  });
}

/**
 * Those of one space are that space's matter, all others the cluster's.
 * @throws ClusterError FORBIDDEN
 */
function requireAdmin(principal: Principal, space: string | undefined): void {
  requireScope(principal, 'admin', space ?? WHOLE_CLUSTER);
}

interface Choice extends DeadLetterFilter {
  readonly ids?: readonly string[] | undefined;
  readonly all?: boolean | undefined;
}

/**
 * Nobody empties them by an empty request, or by a filter that was misspelt.
 * @throws ClusterError INVALID_PARAMETER, INVALID_BODY
 */
function requireChoice({ ids, reason, space, all }: Choice, root: '' | '#'): void {
  const isFiltered = reason !== undefined || space !== undefined;
  const choices = [ids !== undefined, isFiltered, all === true].filter(Boolean).length;
  if (choices !== 1)
    throw new ClusterError(
      root === '' ? 'INVALID_BODY' : 'INVALID_PARAMETER',
      choices === 0 ? 'nothing says which dead letters' : 'which dead letters is said in two ways',
      {
        pointer: root,
        hint: `give ${root === '' ? 'ids, or ' : ''}reason or space or both, or all=true alone`,
      },
    );
  requireReason(reason, root === '' ? '/reason' : '#reason');
}

/** @throws ClusterError INVALID_PARAMETER for a code that no dead letter can have */
function requireReason(reason: string | undefined, pointer: string): void {
  if (reason === undefined || Object.hasOwn(ERRORS, reason)) return;
  throw new ClusterError('INVALID_PARAMETER', 'there is no such reason', {
    pointer,
    hint: 'a reason is an error code, as INVALID_JSON or SPACE_NOT_FOUND',
  });
}

function filterOf({ reason, space }: DeadLetterFilter): DeadLetterFilter {
  return { reason, space };
}
