// The shapes of requests and answers: they validate what comes in and describe the API in OpenAPI.

import {
  ACK_LEVELS,
  ENGINES,
  LANES,
  LIMITS,
  METRICS,
  QUANTIZATIONS,
  SPACE_LIMITS,
} from '@engram/model';
import { CONTENT_TYPES } from '@engram/codec';
import { Type, type TSchema } from 'typebox';

/** More positions than partitions never help; the latest of each is enough. */
export const MIN_POSITIONS_MAX = 1_000;

export const strict = { additionalProperties: false } as const;

export const oneOf = <const T extends readonly string[]>(values: T, options: object = {}) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options });

export const Position = Type.String({
  description: 'Opaque place in the log; recalls take it as minPosition',
  examples: ['47-0.1234.0'],
});

const Embedding = Type.Unsafe<unknown>({
  description:
    'Numbers, or base64 of little-endian float32 (a third of the size, 20 times as fast)',
  examples: [[0.12, -0.5, 0.33]],
});

export const SpaceParams = Type.Object({
  space: Type.String({ description: '1 to 64 of A-Z a-z 0-9 _ -', examples: ['docs'] }),
});
export const ObservationParams = Type.Object({
  space: Type.String(),
  id: Type.String({ description: 'The id of an observation, percent-encoded' }),
});

export const SpaceBody = Type.Unsafe<unknown>({
  type: 'object',
  required: ['dimension'],
  properties: {
    dimension: {
      type: 'integer',
      minimum: SPACE_LIMITS.dimension.min,
      maximum: SPACE_LIMITS.dimension.max,
    },
    metric: { type: 'string', enum: [...METRICS], default: 'cosine' },
    engine: { type: 'string', enum: [...ENGINES], default: 'usearch' },
    // No default here: it is the engine's.
    quantization: {
      type: 'string',
      enum: [...QUANTIZATIONS],
      description: 'How the graph keeps components: i8 unless given; hnswlib knows f32 only',
    },
    m: { type: 'integer', minimum: SPACE_LIMITS.m.min, maximum: SPACE_LIMITS.m.max, default: 16 },
    efConstruction: {
      type: 'integer',
      minimum: SPACE_LIMITS.efConstruction.min,
      maximum: SPACE_LIMITS.efConstruction.max,
      default: 64,
    },
  },
  examples: [{ dimension: 768, metric: 'cosine' }],
});

export const Space = Type.Object({
  space: Type.String(),
  dimension: Type.Integer(),
  metric: oneOf(METRICS),
  engine: oneOf(ENGINES),
  quantization: oneOf(QUANTIZATIONS),
  m: Type.Integer(),
  efConstruction: Type.Integer(),
  createdAt: Type.String({ format: 'date-time' }),
});

export const SpaceDetails = Type.Object({
  ...Space.properties,
  partition: Type.Integer(),
  owners: Type.Array(Type.String()),
  count: Type.Optional(
    Type.Integer({ description: 'Observations; absent while no shard answers' }),
  ),
  indexed: Type.Optional(Type.Integer({ description: 'Those in the graph, or in no need of one' })),
  bytes: Type.Optional(
    Type.Integer({ description: 'Private memory of its index; sealed parts are in files' }),
  ),
  watermark: Type.Optional(Position),
  degraded: Type.Boolean(),
});

export const SpaceList = Type.Object({
  spaces: Type.Array(Space),
  nextCursor: Type.Optional(Type.String()),
});

/** What makes a repetition harmless for as long as the log itself remembers what it was sent. */
export const REQUEST_ID = 'engram-request-id';

const requestId = Type.Optional(
  Type.String({
    description:
      '1 to 255 visible ASCII characters, another one for each request: sent again within two minutes it is stored once. Its answer is not remembered, which makes it cheaper than an Idempotency-Key',
  }),
);

export const DeleteHeaders = Type.Object({ [REQUEST_ID]: requestId });

export const WriteHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description: '1 to 255 visible ASCII characters: a repeated request counts once for 24 hours',
    }),
  ),
  [REQUEST_ID]: requestId,
});

export const ListQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 100 }),
    cursor: Type.Optional(Type.String({ maxLength: 64 })),
  },
  strict,
);

const wait = Type.Integer({ minimum: 0, maximum: LIMITS.waitMsMax });
const ack = oneOf(ACK_LEVELS, {
  default: 'logged',
  description:
    'logged: in the log; searchable: a recall sees it; indexed: in the graph. A wait that times out answers 202: the data is in.',
});

const Observation = Type.Object(
  {
    id: Type.String({ description: '1 to 256 UTF-8 bytes without control characters' }),
    embedding: Embedding,
    metadata: Type.Optional(
      Type.Unsafe<unknown>({ type: 'object', description: 'At most 16 KiB as JSON' }),
    ),
    timestamp: Type.Optional(Type.Integer({ description: 'Milliseconds since 1970' })),
    lane: Type.Optional(oneOf(LANES, { default: 'normal' })),
  },
  strict,
);
const Batch = Type.Object({
  observations: Type.Array(Observation, { minItems: 1, maxItems: LIMITS.batchCountMax }),
});
export const binary = (description: string) =>
  Type.Unsafe<unknown>({ type: 'string', format: 'binary', description });

/** For the document only: bodies with observations are read by our own code. */
export const IngestBody = {
  content: {
    [CONTENT_TYPES.json]: { schema: Type.Union([Batch, Observation]) },
    [CONTENT_TYPES.ndjson]: { schema: binary('One observation as JSON in each line') },
    [CONTENT_TYPES.msgpack]: {
      schema: binary('The same as JSON, with embeddings as binary of little-endian float32'),
    },
    [CONTENT_TYPES.frame]: { schema: binary('A batch frame: packages/codec/FRAME.md') },
  },
};

export const IngestQuery = Type.Object(
  {
    ack,
    timeoutMs: Type.Integer({ minimum: 0, maximum: LIMITS.waitMsMax, default: 10_000 }),
    atomic: Type.Boolean({ default: false, description: 'One bad observation refuses the batch' }),
    lane: Type.Optional(oneOf(LANES, { description: 'Lane of the observations that name none' })),
  },
  strict,
);

export const DeleteQuery = Type.Object(
  { ack, timeoutMs: Type.Integer({ minimum: 0, maximum: LIMITS.waitMsMax, default: 10_000 }) },
  strict,
);

const queryId = Type.String({
  minLength: 1,
  description: 'The id; for ids that cannot stand in a path, as . and .. cannot',
});

export const GetQuery = Type.Object(
  { minPosition: Type.Optional(Position), waitMs: Type.Optional(wait) },
  strict,
);

export const GetByQuery = Type.Object({ id: queryId, ...GetQuery.properties }, strict);
export const DeleteByQuery = Type.Object({ id: queryId, ...DeleteQuery.properties }, strict);

const ItemErrors = Type.Array(
  Type.Object({
    index: Type.Integer(),
    line: Type.Optional(Type.Integer()),
    id: Type.Optional(Type.String()),
    code: Type.String(),
    detail: Type.String(),
    pointer: Type.Optional(Type.String()),
  }),
);

export const Ingested = Type.Object({
  accepted: Type.Integer(),
  rejected: Type.Integer(),
  position: Type.Optional(Position),
  ack: oneOf(ACK_LEVELS, { description: 'The level that was reached' }),
  errors: Type.Optional(ItemErrors),
  errorsTruncated: Type.Optional(Type.Boolean()),
});

export const ObservationAnswer = Type.Object({
  id: Type.String(),
  embedding: Type.Array(Type.Number()),
  metadata: Type.Optional(Type.Unknown()),
  timestamp: Type.Optional(Type.Integer()),
  watermark: Position,
});

export const Deleted = Type.Object({ position: Position, ack: oneOf(ACK_LEVELS) });

const query = {
  embedding: Embedding,
  k: Type.Integer({
    minimum: 1,
    maximum: LIMITS.streamKMax,
    default: 10,
    description: `At most ${LIMITS.kMax}, unless the answer is streamed: accept ${CONTENT_TYPES.ndjson}`,
  }),
  ef: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: LIMITS.efMax,
      description:
        'How far the search of a graph looks, 128 by default: more finds more and takes longer',
    }),
  ),
  exact: Type.Boolean({
    default: false,
    description:
      'Every observation is scored, and ef has no effect: takes as long as there are many, and shows what the graphs miss',
  }),
  filter: Type.Optional(
    Type.Unsafe<unknown>({
      description:
        'Condition on the metadata: {"field": value} or {"field": {operator: operand}} with $eq $ne $in $nin $gt $gte $lt $lte $exists, joined by $and $or $not; a dot reaches into nested objects and lists, and a list has a value when one of its items has. $ne and $nin also take what lacks the field. Text and numbers compare with their own kind only.',
      examples: [{ lang: 'en', rank: { $gte: 1, $lt: 100 } }],
    }),
  ),
  minPosition: Type.Optional(
    Type.Unsafe<unknown>({
      description: `A position that a write answered, or a list of at most ${MIN_POSITIONS_MAX}: their data is in the result`,
      examples: ['47-0.1234.0'],
    }),
  ),
  asOf: Type.Optional(
    Type.Unsafe<unknown>({
      description: `The watermark of a recall, or a list of at most ${MIN_POSITIONS_MAX} for several spaces: nothing newer is seen, so the same question has the same answer while writes go on; kept for a minute at least`,
      examples: ['47-0.1234.0'],
    }),
  ),
  waitMs: Type.Integer({
    ...wait,
    default: 1_000,
    description: 'How long to wait for minPosition or asOf',
  }),
  include: Type.Array(oneOf(['metadata', 'embedding', 'timestamp']), {
    default: ['metadata'],
    maxItems: 3,
  }),
  allowPartial: Type.Boolean({
    default: true,
    description:
      'false: answer 503 rather than a result that may lack something. Where no space answered it is 503 in any case',
  }),
};

export const RecallBody = Type.Object(query, strict);
export const RecallSpacesBody = Type.Object(
  {
    spaces: Type.Array(Type.String(), { minItems: 1, maxItems: LIMITS.recallSpacesMax }),
    ...query,
  },
  strict,
);

export const Recalled = Type.Object({
  results: Type.Array(
    Type.Object({
      space: Type.Optional(Type.String()),
      id: Type.String(),
      score: Type.Number({
        description: 'Cosine similarity, inner product, or Euclidean distance',
      }),
      metadata: Type.Optional(Type.Unknown()),
      embedding: Type.Optional(Type.Array(Type.Number())),
      timestamp: Type.Optional(Type.Integer()),
    }),
  ),
  shards: Type.Object({
    asked: Type.Integer(),
    answered: Type.Integer(),
    ids: Type.Array(Type.String()),
  }),
  watermark: Type.Optional(Position),
  watermarks: Type.Optional(Type.Record(Type.String(), Type.String())),
  degraded: Type.Boolean({ description: 'Something may be missing; reasons says what' }),
  reasons: Type.Array(Type.String()),
  tookMs: Type.Number(),
});

/** As JSON, or streamed; handlers send the former by its type. */
export const RecalledOrStream = {
  description: 'The nearest observations, best first',
  content: {
    [CONTENT_TYPES.json]: { schema: Recalled },
    [CONTENT_TYPES.ndjson]: {
      schema: binary(
        'Streamed, where Accept asks for it: one result as JSON in each line, best first, read as the client takes them. The last line is {"end": {count, watermark or watermarks, degraded, reasons, tookMs}}, or {"error": problem document} where it could not go on.',
      ),
    },
  },
} as unknown as typeof Recalled;

const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'Stable; see /problems/{code}' }),
    retryable: Type.Boolean(),
    hint: Type.Optional(Type.String()),
    errors: Type.Optional(
      Type.Array(Type.Object({ pointer: Type.Optional(Type.String()), detail: Type.String() })),
    ),
  },
  { description: 'RFC 9457 application/problem+json' },
);

/** The answers of a route with the problem document for everything else; handlers send the former. */
export function answers<T extends Readonly<Record<number, TSchema>>>(good: T): T {
  const problem = {
    description: 'RFC 9457 problem document; GET /problems/{code} tells what its code means',
    content: { 'application/problem+json': { schema: Problem } },
  };
  return { ...good, '4xx': problem, '5xx': problem };
}

/** What a client must send: what has a default may be left out, though our code always gets it. */
export function withoutDefaultsRequired(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return schema;
  const { required, properties } = schema as {
    readonly required?: unknown;
    readonly properties?: Readonly<Record<string, { readonly default?: unknown }>>;
  };
  if (!Array.isArray(required) || properties === undefined) return schema;
  return {
    ...schema,
    required: required.filter((name: string) => properties[name]?.default === undefined),
  };
}
