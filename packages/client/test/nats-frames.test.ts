import type { Lane, Observation, SpaceId } from '@engram/model';
import { expect, test } from 'vitest';
import { framesOf } from '../src/nats/frames.ts';
import { messageIdOf } from '../src/nats/message-id.ts';

const ONE = [{ id: 'a', embedding: [1, 2] }];
const NOTES = 'notes' as SpaceId;

const idOf = (space: SpaceId, key: string, observations: Observation[], lane: Lane = 'normal') =>
  messageIdOf(space, key, framesOf(observations, lane).frames[0]!);

test('the same key in another space or lane, or with other observations, was acknowledged and not stored', () => {
  const first = idOf(NOTES, 'key', ONE);
  expect(idOf(NOTES, 'key', structuredClone(ONE))).toBe(first);
  const others = [
    idOf('words' as SpaceId, 'key', ONE),
    idOf(NOTES, 'key', [{ id: 'a', embedding: [1, 3] }]),
    idOf(NOTES, 'key', ONE, 'low'),
    idOf(NOTES, 'another', ONE),
  ];
  expect(new Set([first, ...others]).size).toBe(5);
});

test('a refusal over NATS had another pointer than over HTTP, and spoke of a space that nobody knows', () => {
  const { accepted, errors } = framesOf(
    [
      { id: 1 as never, embedding: [1, 2] },
      ...ONE,
      { id: 'b', embedding: [1] },
      { id: 'c', embedding: 'AACAPw==' },
      { id: 'd' } as never,
      null as never,
    ],
    'normal',
  );
  expect(accepted).toBe(1);
  expect(errors.map(({ index, code, pointer }) => [index, code, pointer])).toEqual([
    [0, 'INVALID_ID', '/observations/0/id'],
    [2, 'DIMENSION_MISMATCH', '/observations/2/embedding'],
    [3, 'DIMENSION_MISMATCH', '/observations/3/embedding'],
    [4, 'INVALID_EMBEDDING', '/observations/4/embedding'],
    [5, 'INVALID_BODY', '/observations/5'],
  ]);
  expect(errors[1]!.detail).toBe(
    'the embedding has 1 values and differs from the first of the batch, which has 2',
  );
  expect(errors[2]!.detail).toBe(errors[1]!.detail);
});

test('a BigInt in metadata was stored as a text', () => {
  const observations = [...ONE, { id: 'b', embedding: [1, 2], metadata: { n: 1n } }];
  expect(() => framesOf(observations, 'normal')).toThrow(
    /^observation 1 cannot be written as JSON/,
  );
});
