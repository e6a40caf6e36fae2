// The shapes of what operators ask: dead letters and verifications.

import { CONTENT_TYPES } from '@engram/codec';
import { LANES, LIMITS } from '@engram/model';
import { Type } from 'typebox';
import { binary, oneOf, Position, strict } from './schemas.ts';

const DeadLetterId = Type.String({
  description: 'Its place in the log: <stripe>-<sequence>',
  examples: ['0-1234'],
});
const Reason = Type.String({
  maxLength: 64,
  description: 'The code of its first error',
  examples: ['INVALID_JSON'],
});
const OfSpace = Type.String({
  minLength: 1,
  maxLength: 512,
  description: 'As it stands in the subject',
});
const Cursor = Type.String({ maxLength: 64, description: 'nextCursor of the answer before' });
const All = Type.Boolean({ description: 'Every one: needed where nothing else chooses' });

export const DeadLetterParams = Type.Object({ id: DeadLetterId });

export const DeadLettersQuery = Type.Object(
  {
    order: oneOf(['newest', 'oldest'], { default: 'newest' }),
    limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 100 }),
    cursor: Type.Optional(Cursor),
    reason: Type.Optional(Reason),
    space: Type.Optional(OfSpace),
  },
  strict,
);

export const RedriveBody = Type.Object(
  {
    ids: Type.Optional(Type.Array(DeadLetterId, { minItems: 1, maxItems: 1_000 })),
    reason: Type.Optional(Reason),
    space: Type.Optional(OfSpace),
    all: Type.Optional(All),
    cursor: Type.Optional(Cursor),
  },
  { ...strict, examples: [{ ids: ['0-1234'] }, { reason: 'SPACE_NOT_FOUND', space: 'notes' }] },
);

export const PurgeQuery = Type.Object(
  {
    reason: Type.Optional(Reason),
    space: Type.Optional(OfSpace),
    all: Type.Optional(All),
    cursor: Type.Optional(Cursor),
  },
  strict,
);

export const TailQuery = Type.Object(
  {
    position: Type.Optional(
      Type.String({ maxLength: 80, description: 'Of a line or a write: everything behind it' }),
    ),
    since: Type.Optional(
      Type.String({
        maxLength: 40,
        description: 'Everything stored since then, as far as the log still has it',
        examples: ['2026-01-31T09:00:00Z'],
      }),
    ),
    embeddings: Type.Boolean({ default: false, description: 'Each line with its embedding' }),
  },
  strict,
);

export const TailedLines = {
  description: 'Followed',
  content: {
    [CONTENT_TYPES.ndjson]: {
      schema: binary(
        'First {"start": {position}}, then a line {op, id, sequence, lane, time, position} for each put (with metadata, timestamp) and delete, {op: "rejected", count} for items that no shard takes. Given back as position, that of a line misses nothing. It ends with {"error": problem document}.',
      ),
    },
  },
} as unknown as ReturnType<typeof Type.Unknown>;

export const DeadLetterAnswer = Type.Object({
  id: DeadLetterId,
  stripe: Type.Integer(),
  sequence: Type.Integer({ description: 'Of the entry in the log' }),
  reason: Type.String(),
  detail: Type.String(),
  subject: Type.String(),
  partition: Type.Optional(Type.Integer()),
  lane: Type.Optional(oneOf(LANES)),
  space: Type.Optional(Type.String()),
  contentType: Type.Optional(Type.String()),
  bytes: Type.Integer({ description: 'Of the payload that is kept' }),
  cutTo: Type.Optional(
    Type.Integer({ description: 'Set where the payload was too large to be kept whole' }),
  ),
  errors: Type.Array(Type.Object({ index: Type.Integer(), code: Type.String() }), {
    description: 'The first of the refused items',
  }),
  errorCount: Type.Integer(),
  writtenAt: Type.String({ format: 'date-time' }),
});

const nextCursor = Type.Optional(
  Type.String({ description: 'Absent in the last answer; what came since the first is in none' }),
);

export const DeadLetterList = Type.Object({
  deadLetters: Type.Array(DeadLetterAnswer),
  nextCursor,
});

export const RedrivenAnswer = Type.Object({
  redriven: Type.Integer(),
  refused: Type.Array(
    Type.Object({
      id: DeadLetterId,
      code: Type.String(),
      detail: Type.String(),
      hint: Type.Optional(Type.String()),
    }),
  ),
  nextCursor,
});

export const PurgedAnswer = Type.Object({ purged: Type.Integer(), nextCursor });

/** The bytes as they came; typed as what handlers send. */
export const Payload = {
  description: 'The payload as it was published, with its content type',
  content: { 'application/octet-stream': { schema: binary('Any bytes') } },
} as unknown as ReturnType<typeof binary>;

export const VerifyQuery = Type.Object(
  {
    shard: Type.Optional(
      Type.String({
        description: 'The shard to ask; by default the one that recalls are asked of',
      }),
    ),
    waitMs: Type.Integer({
      minimum: 0,
      maximum: LIMITS.waitMsMax,
      default: 30_000,
      description: 'How long the index may take to apply what the log has',
    }),
  },
  strict,
);

const Differing = (description: string) =>
  Type.Array(
    Type.Object({
      id: Type.String(),
      expected: Type.Optional(Type.Integer({ description: 'Sequence of its entry in the log' })),
      found: Type.Optional(Type.Integer({ description: 'Sequence in the index' })),
    }),
    { description, maxItems: 100 },
  );

export const VerifiedAnswer = Type.Object({
  space: Type.String(),
  position: Position,
  basis: oneOf(['log', 'checkpoint'], {
    description:
      'What the expectation was built from; with a checkpoint, the log tells what came after it',
  }),
  counts: Type.Object({ log: Type.Integer(), index: Type.Integer() }),
  missing: Differing('In the log, not in the index; the first 100'),
  extra: Differing('In the index, not in the log; the first 100'),
  stale: Differing('In the index by another entry than the log has last; the first 100'),
  totals: Type.Object({
    missing: Type.Integer(),
    extra: Type.Integer(),
    stale: Type.Integer(),
  }),
  rejected: Type.Integer({ description: 'Items of its entries that no shard takes' }),
  entries: Type.Integer({ description: 'Of the space in the log' }),
  shard: Type.String(),
  tookMs: Type.Integer(),
  isExact: Type.Boolean({ description: 'Every id was judged; reasons says why not' }),
  reasons: Type.Array(Type.String()),
  ok: Type.Boolean({ description: 'Nothing differs' }),
});
