import { expect, expectTypeOf, test } from 'vitest';
import { EngramClient } from '../src/index.ts';
import { fakeGateway } from './fake-gateway.ts';

interface Note {
  topic: string;
  year?: number;
}

test('a space that is used with a type asks what the client asks, and has that type in and out', async () => {
  const hit = { id: 'a', score: 1, metadata: { topic: 'tea' } };
  await using gateway = await fakeGateway(({ url }) => ({
    status: 200,
    body: url.endsWith('/recall')
      ? { results: [hit], shards: { asked: 1, answered: 1, ids: [] }, tookMs: 1 }
      : { accepted: 1, rejected: 0, position: '1-1', ...hit },
  }));
  const notes = new EngramClient({ url: gateway.url }).use<Note>('notes');
  await notes.put([{ id: 'a', embedding: [1, 0], metadata: { topic: 'tea' } }]);
  const { results } = await notes.recall({ embedding: [1, 0], k: 1 });
  const stored = await notes.get('a');
  await notes.delete('a');
  await using producer = notes.producer({ lingerMs: 1 });
  await producer.write({ id: 'b', embedding: [1, 0], metadata: { topic: 'music', year: 1 } });
  expect(results).toEqual([hit]);
  expectTypeOf(results[0]!.metadata).toEqualTypeOf<Note | undefined>();
  expectTypeOf(stored.metadata).toEqualTypeOf<Note | undefined>();
  expectTypeOf<Parameters<typeof notes.put>[0]>().not.toExtend<
    readonly { metadata: { topic: number } }[]
  >();
  expectTypeOf<Parameters<typeof producer.write>[0]['metadata']>().toEqualTypeOf<
    Note | undefined
  >();
  expect(gateway.asked.map(({ method, url }) => `${method} ${url}`)).toEqual([
    'POST /v1/spaces/notes/observations',
    'POST /v1/spaces/notes/recall',
    'GET /v1/spaces/notes/observations/a',
    'DELETE /v1/spaces/notes/observations/a',
  ]);
});
