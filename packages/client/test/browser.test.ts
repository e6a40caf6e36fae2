import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { decodeFrame } from '@engram/codec';
import { rolldown } from 'rolldown';
import { expect, test } from 'vitest';

const ENTRY = fileURLToPath(new URL('../dist/index.js', import.meta.url));

/** What browsers have; nothing of Node. */
const WEB = {
  AbortController,
  AbortSignal,
  atob,
  btoa,
  clearTimeout,
  crypto,
  setTimeout,
  TextDecoder,
  TextEncoder,
  URL,
};

test('the client bundles for browsers without a module of Node, and writes and recalls there', async () => {
  const bundle = await rolldown({
    input: ENTRY,
    platform: 'browser',
    onLog: (level, log) => {
      if (level !== 'debug') throw new Error(log.message);
    },
  });
  const { output } = await bundle.generate({ format: 'iife', name: 'engram' });
  expect(output).toHaveLength(1);
  expect(output[0].imports).toEqual([]);

  const asked: { url: string; body: unknown }[] = [];
  const fetch = (url: URL, { body }: { body?: unknown }) => {
    asked.push({ url: url.pathname, body });
    const hit = { id: 'a', score: 1, embedding: 'AACAPw==' };
    const shards = { asked: 1, answered: 1, ids: ['shard-1'] };
    const answer = { accepted: 1, rejected: 0, results: [hit], shards, tookMs: 1 };
    return Promise.resolve(new Response(JSON.stringify(answer)));
  };
  const context = createContext({ ...WEB, fetch });
  const results: unknown = await runInContext(
    `${output[0].code}
    const client = new engram.EngramClient({ url: 'http://gateway' });
    client
      .put('notes', [{ id: 'a', embedding: [1, 2] }])
      .then(() => client.put('notes', [{ id: 'a', embedding: [1], lane: 'low' }, { id: 'b', embedding: [1] }]))
      .then(() => client.recall('notes', { embedding: [1, 2], k: 1 }))
      .then(({ results }) => JSON.stringify([results[0].id, ...results[0].embedding]))`,
    context,
  );
  expect(results).toBe('["a",1]');
  expect(asked.map(({ url }) => url)).toEqual([
    '/v1/spaces/notes/observations',
    '/v1/spaces/notes/observations',
    '/v1/spaces/notes/recall',
  ]);
  // Of another realm, so not an instance of the Uint8Array of here.
  const sent = Uint8Array.from(asked[0]?.body as Uint8Array);
  expect(decodeFrame(sent).id(0)).toBe('a');
  const { observations } = JSON.parse(asked[1]?.body as string) as { observations: unknown[] };
  expect(observations[0]).toEqual({ id: 'a', embedding: 'AACAPw==', lane: 'low' });
});
