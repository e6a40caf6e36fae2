import { expect, test } from 'vitest';
import { frameOf } from './frames.ts';
import { apply, spaceOf } from './spaces.ts';

test('a frame of another dimension is refused whole, but not the deletes in it', () => {
  const space = spaceOf({ dimension: 2 });
  apply(space, 1, [{ id: 'old', embedding: [1, 1] }]);
  const puts = [
    { id: 'a', embedding: [1, 2, 3] },
    { id: 'b', embedding: [1, 2, 3] },
  ];
  const { applied, errors } = apply(space, 2, puts, ['old']);
  expect(applied).toBe(1);
  expect(errors.map(({ index, id, code }) => [index, id, code])).toEqual([
    [0, 'a', 'DIMENSION_MISMATCH'],
    [1, 'b', 'DIMENSION_MISMATCH'],
  ]);
  expect(space.engine.get('old')).toBeUndefined();
});

test('a bad observation is refused alone, with its reason (E3)', () => {
  const space = spaceOf({ dimension: 2 });
  const good = [1, 2];
  const deep = JSON.parse('{"a":'.repeat(17) + '1' + '}'.repeat(17)) as unknown;
  const { applied, stale, errors } = apply(space, 1, [
    { id: 'first', embedding: good },
    { id: 'nan', embedding: [NaN, 1] },
    { id: 'infinite', embedding: [1, Infinity] },
    { id: 'zero', embedding: [0, 0] },
    { id: 'long', embedding: [1e19, 1e19] },
    { id: '', embedding: good },
    { id: 'a\nb', embedding: good },
    { id: 'x'.repeat(257), embedding: good },
    { id: 'é'.repeat(129), embedding: good },
    { id: 'list', embedding: good, metadata: [1] },
    { id: 'deep', embedding: good, metadata: deep },
    { id: 'late', embedding: good, timestamp: 0.5 },
    { id: 'first', embedding: [5, 5] },
    { id: 'last', embedding: good },
  ]);
  expect([applied, stale]).toEqual([2, 0]);
  expect(errors.map(({ index, id, code }) => [index, id, code])).toEqual([
    [1, 'nan', 'INVALID_EMBEDDING'],
    [2, 'infinite', 'INVALID_EMBEDDING'],
    [3, 'zero', 'ZERO_EMBEDDING'],
    [4, 'long', 'INVALID_EMBEDDING'],
    [5, undefined, 'INVALID_ID'],
    [6, undefined, 'INVALID_ID'],
    [7, undefined, 'INVALID_ID'],
    [8, undefined, 'INVALID_ID'],
    [9, 'list', 'INVALID_METADATA'],
    [10, 'deep', 'INVALID_METADATA'],
    [11, 'late', 'INVALID_TIMESTAMP'],
    [12, 'first', 'DUPLICATE_ID'],
  ]);
  expect([...space.engine.get('first')!.embedding]).toEqual(good);
  expect(space.engine.stats.count).toBe(2);
});

test('a bad observation leaves what was there before as it was', () => {
  const space = spaceOf({ dimension: 1 });
  apply(space, 1, [{ id: 'a', embedding: [1] }]);
  apply(space, 2, [{ id: 'a', embedding: [NaN] }]);
  expect(space.engine.get('a')).toMatchObject({ sequence: 1 });
});

test('an id whose bytes are not UTF-8 is refused, and nothing else of its frame', async () => {
  for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x99]]) {
    const space = spaceOf({ dimension: 1 });
    const puts = ['first', 'x'.repeat(bytes.length), 'last'].map((id, i) => ({
      id,
      embedding: [i + 1],
    }));
    const frame = frameOf(puts);
    frame.text.set(bytes, frame.idStart(1));
    const { applied, stale, errors } = space.engine.apply(frame, 1, 'normal');
    expect([applied, stale]).toEqual([2, 0]);
    expect(errors).toMatchObject([{ index: 1, code: 'INVALID_ID' }]);
    expect(space.engine.get('first')).toMatchObject({ id: 'first' });
    expect(space.engine.get('last')).toMatchObject({ id: 'last' });
    expect(space.engine.get(frame.id(1))).toBeUndefined();
    expect(await space.engine.recall({ embedding: Float32Array.of(1), k: 9 })).toHaveLength(2);
  }
});
