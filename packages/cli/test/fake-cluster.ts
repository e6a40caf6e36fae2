import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CONTENT_TYPES, readItems } from '@engram/codec';

interface Stored {
  readonly id: string;
  readonly embedding: number[];
  readonly metadata?: unknown;
}

interface Refusal {
  readonly index: number;
  readonly id: string;
  readonly code: string;
  readonly detail: string;
}

/**
 * As much of the REST API as the commands need, in memory and over real HTTP: what is tested is
 * the commands. Embeddings of the wrong length and empty ids are refused one by one.
 */
export interface FakeCluster extends AsyncDisposable {
  readonly url: string;
  readonly spaces: Map<string, { dimension: number; rows: Map<string, Stored>; writes: string[] }>;
  /** Every write request with its number of observations and its query. */
  readonly batches: { readonly count: number; readonly query: string }[];
  /** The header of each request that had one. */
  readonly authorizations: string[];
}

/** What an answer instead of the usual one is about. */
const FAULTS: Readonly<Record<number, string>> = { 413: 'BODY_TOO_LARGE', 429: 'BACKPRESSURE' };

interface FakeOptions {
  /** The gateway takes nobody: each answer, other than of health, is this one. */
  readonly denied?: 401 | 403;
  /** Refusals that one answer lists at most. */
  readonly listed?: number;
  /** Answers about a space that are degraded before the first whole one. */
  readonly degraded?: number;
  /** Called before a batch is stored; its answer is sent instead of the usual one. */
  readonly onBatch?: (ids: string[], nth: number) => Promise<number | undefined>;
}

export async function fakeCluster(options: FakeOptions = {}): Promise<FakeCluster> {
  const spaces: FakeCluster['spaces'] = new Map();
  const batches: { count: number; query: string }[] = [];
  const authorizations: string[] = [];
  let degraded = options.degraded ?? 0;

  async function answer(
    method: string,
    url: URL,
    body: Record<string, unknown>,
  ): Promise<[number, unknown]> {
    if (url.pathname === '/readyz') return [200, { ready: true }];
    if (options.denied !== undefined)
      return [options.denied, fault(options.denied === 401 ? 'UNAUTHENTICATED' : 'FORBIDDEN')];
    const [, , , name = '', kind, id] = url.pathname.split('/').map(decodeURIComponent);
    const space = spaces.get(name);
    if (method === 'GET' && name === '')
      return [200, { spaces: [...spaces.keys()].map((key) => summary(key)) }];
    if (method === 'PUT') {
      const dimension = Number(body['dimension']);
      if (space !== undefined && space.dimension !== dimension)
        return [409, fault('SPACE_DIFFERS')];
      if (space === undefined) spaces.set(name, { dimension, rows: new Map(), writes: [] });
      return [space === undefined ? 201 : 200, summary(name)];
    }
    if (space === undefined) return [404, fault('SPACE_NOT_FOUND')];
    if (kind === undefined && method === 'DELETE') return [spaces.delete(name) ? 204 : 404, null];
    if (kind === undefined) {
      const told = { ...summary(name), owners: ['s'] };
      if (degraded-- > 0) return [200, { ...told, degraded: true }];
      return [200, { ...told, count: space.rows.size, degraded: false }];
    }
    if (kind === 'recall') return [200, recall(space.rows, body)];
    if (method === 'GET') {
      const row = space.rows.get(id ?? '');
      return row === undefined ? [404, fault('OBSERVATION_NOT_FOUND')] : [200, row];
    }
    const sent = body['observations'] as Record<string, unknown>[];
    batches.push({ count: sent.length, query: url.search });
    const ids = sent.map((each) => String(each['id']));
    const instead = await options.onBatch?.(ids, batches.length);
    if (instead !== undefined) return [instead, fault(FAULTS[instead] ?? 'INTERNAL')];
    const errors: Refusal[] = [];
    sent.forEach((each, index) => {
      const embedding = floats(each['embedding']);
      const own = { index, id: ids[index] as string };
      if (embedding?.length !== space.dimension)
        errors.push({ ...own, code: 'DIMENSION_MISMATCH', detail: 'wrong length' });
      else if (each['id'] === '') errors.push({ ...own, code: 'INVALID_ID', detail: 'empty' });
      else {
        space.rows.set(own.id, { ...each, embedding } as unknown as Stored);
        space.writes.push(own.id);
      }
    });
    const rejected = errors.length;
    const result = { accepted: sent.length - rejected, rejected, position: '1-0.1.0' };
    const listed = errors.slice(0, options.listed ?? 100);
    const told = { ...result, errors: listed, errorsTruncated: listed.length < rejected };
    if (rejected === sent.length) return [422, { ...fault('NOTHING_ACCEPTED'), ...told }];
    if (rejected > 0) return [207, told];
    const ack = url.searchParams.get('ack') ?? 'logged';
    return [ack === 'logged' ? 202 : 200, { ...result, ack }];
  }

  function summary(space: string) {
    const dimension = spaces.get(space)?.dimension;
    const graph = { engine: 'usearch', quantization: 'i8', m: 16, efConstruction: 64 };
    return { space, dimension, metric: 'cosine', ...graph };
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { authorization, 'content-type': contentType } = request.headers;
      if (authorization !== undefined) authorizations.push(authorization);
      const body = read(Buffer.concat(chunks), contentType);
      const url = new URL(request.url ?? '', 'http://fake');
      void answer(request.method ?? '', url, body).then(([status, told]) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(status === 204 ? undefined : JSON.stringify(told));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    spaces,
    batches,
    authorizations,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function fault(code: string) {
  return { code, detail: `refused with ${code}`, status: 400 };
}

function read(bytes: Buffer, contentType: string | undefined): Record<string, unknown> {
  if (bytes.length === 0) return {};
  if (contentType === CONTENT_TYPES.frame)
    return { observations: readItems('frame', bytes).map(({ value }) => value) };
  return JSON.parse(bytes.toString()) as Record<string, unknown>;
}

function floats(value: unknown): number[] | undefined {
  if (value instanceof Float32Array) return Array.from(value);
  if (Array.isArray(value)) return value as number[];
  if (typeof value !== 'string') return undefined;
  const bytes = Buffer.from(value, 'base64');
  return Array.from({ length: bytes.length >> 2 }, (_, i) => bytes.readFloatLE(i * 4));
}

function recall(rows: ReadonlyMap<string, Stored>, body: Record<string, unknown>) {
  const query = floats(body['embedding'])!;
  const results = [...rows.values()]
    .map(({ id, embedding, metadata }) => ({ id, score: cosine(query, embedding), metadata }))
    .sort((left, right) => right.score - left.score)
    .slice(0, body['k'] as number);
  const shards = { asked: 1, answered: 1, ids: ['s'] };
  return { results, shards, watermark: '1-0.1.0', degraded: false, tookMs: 1.25 };
}

function cosine(left: readonly number[], right: readonly number[]): number {
  const dot = left.reduce((sum, value, i) => sum + value * (right[i] ?? 0), 0);
  return dot / (Math.hypot(...left) * Math.hypot(...right));
}
