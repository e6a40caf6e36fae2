import { ClusterError } from '@engram/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/until.ts';

const COUNT = 5_000;
const DIMENSION = 8;
const NOTE = 'n'.repeat(1_000);
const NDJSON = 'application/x-ndjson';

let running: TestCluster;
let url: string;

beforeAll(async () => {
  running = await startTestCluster({ shards: 1 });
  ({ url } = running.cluster);
  const { client } = running;
  for (const space of ['left', 'right', 'large'])
    await client.createSpace(space, { dimension: DIMENSION, metric: 'l2' });
  for (const [space, count, seed] of [
    ['left', 600, 1],
    ['right', 600, 2],
    ['large', COUNT, 3],
  ] as const) {
    const rows = Array.from({ length: count }, (_, i) => ({
      id: `${space}-${i}`,
      embedding: vector(i + 1, seed),
      metadata: { i, note: NOTE },
      timestamp: i,
    }));
    for (let from = 0; from < count; from += 500)
      await client.put(space, rows.slice(from, from + 500), { ack: 'searchable' });
  }
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
});

function vector(i: number, seed: number): number[] {
  return Array.from({ length: DIMENSION }, (_, d) => Math.sin(i * (d + 1) * 0.7 + seed * 13));
}

interface Line {
  readonly space?: string;
  readonly id: string;
  readonly score: number;
  readonly metadata?: { readonly i: number };
  readonly end?: {
    readonly count: number;
    readonly watermark?: string;
    readonly watermarks?: Record<string, string>;
    readonly degraded: boolean;
    readonly reasons: string[];
    readonly tookMs: number;
  };
  readonly error?: { readonly code: string };
}

function ask(path: string, body: object, accept = NDJSON, signal?: AbortSignal): Promise<Response> {
  return fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

async function linesOf(response: Response): Promise<Line[]> {
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toContain(NDJSON);
  const text = await response.text();
  expect(text.endsWith('\n')).toBe(true);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

const embedding = vector(0.5, 9);
const large = '/v1/spaces/large/recall';

describe('a streamed recall', () => {
  test('gives every one of 5,000 hits in order, and then its end', async () => {
    const lines = await linesOf(await ask(large, { embedding, k: COUNT }));
    const end = lines.pop()!.end!;
    expect(end).toMatchObject({ count: COUNT, degraded: false, reasons: [] });
    expect(end.watermark).toMatch(/^\d+-/);
    expect(end).not.toHaveProperty('watermarks');
    expect(lines).toHaveLength(COUNT);
    expect(new Set(lines.map(({ id }) => id)).size).toBe(COUNT);
    const scores = lines.map(({ score }) => score);
    expect(scores).toEqual([...scores].sort((a, b) => a - b));
    expect(lines.every(({ id, metadata }) => id === `large-${metadata!.i}`)).toBe(true);
    expect(lines[0]).not.toHaveProperty('space');
  });

  test('has lines as the results of the other form', async () => {
    const body = { embedding, k: 700, filter: { i: { $gte: 100 } }, include: ['timestamp'] };
    const { results } = (await (await ask(large, body, 'application/json')).json()) as {
      results: Line[];
    };
    expect((await linesOf(await ask(large, body))).slice(0, -1)).toEqual(results);
  });

  test('merges spaces', async () => {
    const body = { spaces: ['left', 'right'], embedding, include: ['embedding'] };
    const { results } = (await (
      await ask('/v1/recall', { ...body, k: 1_000 }, 'application/json')
    ).json()) as { results: Line[] };
    const lines = await linesOf(await ask('/v1/recall', { ...body, k: 1_000 }));
    const end = lines.pop()!.end!;
    expect(lines).toEqual(results);
    expect(new Set(lines.map(({ space }) => space))).toEqual(new Set(['left', 'right']));
    expect(Object.keys(end.watermarks!).sort()).toEqual(['left', 'right']);
    expect(end.count).toBe(1_000);
    const all = await linesOf(await ask('/v1/recall', { ...body, k: 10_000 }));
    expect(all.at(-1)!.end!.count).toBe(1_200);
  });

  test('answers what is wrong before its first line as a problem', async () => {
    const refused = async (path: string, body: object, accept = NDJSON) => {
      const response = await ask(path, body, accept);
      expect(response.headers.get('content-type')).toContain('application/problem+json');
      const { code, errors } = (await response.json()) as {
        code: string;
        errors: { pointer: string }[];
      };
      return [response.status, code, errors[0]?.pointer];
    };
    expect(await refused(large, { embedding, k: 10_001 })).toEqual([400, 'INVALID_BODY', '/k']);
    expect(await refused(large, { embedding, k: 1_001 }, 'application/json')).toEqual([
      400,
      'INVALID_BODY',
      '/k',
    ]);
    expect(await refused(large, { embedding: [1] })).toEqual([
      400,
      'DIMENSION_MISMATCH',
      '/embedding',
    ]);
    expect(await refused('/v1/spaces/lrge/recall', { embedding })).toEqual([
      404,
      'SPACE_NOT_FOUND',
      '#space',
    ]);
    const { results: _none, watermark } = (await (
      await ask(large, { embedding, k: 1 }, 'application/json')
    ).json()) as { results: unknown; watermark: string };
    const later = watermark.replace(/\.(\d+)\./, (_, n: string) => `.${Number(n) + 1_000_000}.`);
    const response = await ask(large, { embedding, minPosition: later, waitMs: 50 });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      503,
      'POSITION_NOT_REACHED',
    ]);
  });

  test('as of a position sees nothing newer, and what came before it began stays in it', async () => {
    const { client } = running;
    const { watermark } = await client.recall('left', { embedding, k: 1 });
    await client.put(
      'left',
      [
        { id: 'left-0', embedding, metadata: { i: -1 } },
        { id: 'left-new', embedding },
      ],
      { ack: 'searchable' },
    );
    const body = { embedding, k: 2_000 };
    const path = '/v1/spaces/left/recall';
    const before = await linesOf(await ask(path, { ...body, asOf: watermark }));
    expect(before.at(-1)!.end!.count).toBe(600);
    expect(before.find(({ id }) => id === 'left-0')!.metadata!.i).toBe(0);
    const now = await linesOf(await ask(path, body));
    expect(now.at(-1)!.end!.count).toBe(601);
    expect(now.find(({ id }) => id === 'left-0')!.metadata!.i).toBe(-1);
  });

  test('goes on while its rows are deleted, and ends for who leaves', async () => {
    const { client } = running;
    const ids: string[] = [];
    const hits = client.recallStream('right', { embedding, k: 600 });
    for (let n = 0; n < 5; n++) ids.push(((await hits.next()).value as Line).id);
    for (let i = 0; i < 20; i++) await client.delete('right', `right-${i}`, { ack: 'searchable' });
    for (;;) {
      const { value, done } = await hits.next();
      if (done === true) {
        expect(value).toMatchObject({ count: 600, degraded: false });
        break;
      }
      ids.push(value.id);
    }
    expect(new Set(ids).size).toBe(600);

    for await (const hit of client.recallStream('large', { embedding, k: COUNT })) {
      expect(hit.id).toContain('large-');
      break;
    }
    await until('the shard was told that nobody reads on', async () => (await closes()) > 0);
  });

  test('is told to the shard as ended when its client is gone', async () => {
    const before = await closes();
    const gone = new AbortController();
    const response = await ask(large, { embedding, k: COUNT }, NDJSON, gone.signal);
    const reader = response.body!.getReader();
    expect(((await reader.read()).value as Uint8Array).length).toBeGreaterThan(0);
    // What is not read stays where it is: 5 MB do not fit into sockets and a page.
    gone.abort();
    await until('the cursor is closed', async () => (await closes()) === before + 1);
    expect((await ask(large, { embedding, k: 3 })).status).toBe(200);
  });

  test('that cannot go on ends with a problem, and the client throws it', async () => {
    const { client } = running;
    await client.createSpace('doomed', { dimension: DIMENSION });
    const note = 'n'.repeat(15_000);
    for (let part = 0; part < 10; part++)
      await client.put(
        'doomed',
        Array.from({ length: 100 }, (_, i) => ({
          id: `doomed-${part}-${i}`,
          embedding: vector(part * 100 + i + 1, 4),
          metadata: { note },
        })),
        { ack: 'searchable' },
      );
    const response = await ask('/v1/spaces/doomed/recall', { embedding, k: 1_000 });
    const hits = client.recallStream('doomed', { embedding, k: 1_000 });
    expect((await hits.next()).done).toBe(false);
    await client.deleteSpace('doomed');
    await until('the shard has dropped the space', async () => (await shardSpaces()) === 3);
    const lines = await linesOf(response);
    expect(lines.length).toBeLessThan(1_001);
    expect(lines.at(-1)!.error).toMatchObject({ code: 'CURSOR_EXPIRED', status: 410 });
    const reading = (async () => {
      for await (const hit of hits) expect(hit.id).toContain('doomed-');
    })();
    const error: unknown = await reading.catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(ClusterError);
    expect(error).toMatchObject({ code: 'CURSOR_EXPIRED' });
  });

  test('is described in OpenAPI', async () => {
    const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as {
      paths: Record<string, { post: { responses: Record<string, { content: object }> } }>;
    };
    for (const path of ['/v1/spaces/{space}/recall', '/v1/recall'])
      expect(Object.keys(paths[path]!.post.responses['200']!.content)).toEqual([
        'application/json',
        NDJSON,
      ]);
  });
});

/** How often the shard was told that nobody reads on. */
async function closes(): Promise<number> {
  const text = await (await fetch(`${running.cluster.shards[0]!.url}/metrics`)).text();
  const count = /shard_request_duration_seconds_count\{[^}]*method="close"[^}]*\} (\d+)/.exec(text);
  return Number(count?.[1] ?? 0);
}

/** Spaces that the shard has. */
async function shardSpaces(): Promise<number> {
  const { members } = (await (await fetch(`${url}/v1/cluster`)).json()) as {
    members: { role: string; spaces?: number }[];
  };
  return members.find(({ role }) => role === 'shard')?.spaces ?? -1;
}
