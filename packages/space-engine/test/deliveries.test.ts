import { expect, test } from 'vitest';
import { frameOf } from './frames.ts';
import { apply, seal, spaceOf } from './spaces.ts';

const one = (id: string, value = 1) => ({ id, embedding: [value] });

test('an entry that comes again is stale and no error, wherever its rows are now', async () => {
  const space = spaceOf({ dimension: 1 }, { graphThreshold: 1 });
  const frame = frameOf([one('a'), one('b')], ['c']);
  expect(space.engine.apply(frame, 5, 'normal')).toEqual({ applied: 3, stale: 0, errors: [] });
  expect(space.engine.apply(frame, 5, 'normal')).toEqual({ applied: 0, stale: 3, errors: [] });
  await seal(space);
  expect(space.engine.apply(frame, 5, 'normal')).toEqual({ applied: 0, stale: 3, errors: [] });
  apply(space, 6, [one('a', 6)], ['b']);
  expect(space.engine.apply(frame, 5, 'normal')).toEqual({ applied: 0, stale: 3, errors: [] });
  expect(space.engine.get('a')).toMatchObject({ sequence: 6 });
  expect(space.engine.get('b')).toBeUndefined();
  space.engine.complete(6);
  expect(space.engine.apply(frame, 5, 'normal')).toEqual({ applied: 0, stale: 3, errors: [] });
  expect(space.engine.stats.count).toBe(1);
});

test('an entry with an id twice in it is stale when it comes again, without an error', async () => {
  const space = spaceOf({ dimension: 1 }, { graphThreshold: 1 });
  const frame = frameOf([one('a', 1), one('b', 2), one('a', 3)]);
  const { applied, errors } = space.engine.apply(frame, 5, 'normal');
  expect(applied).toBe(2);
  expect(errors).toMatchObject([{ index: 2, id: 'a', code: 'DUPLICATE_ID' }]);
  for (const between of [() => undefined, () => seal(space)]) {
    await between();
    expect(space.engine.apply(frame, 5, 'normal')).toEqual({ applied: 0, stale: 3, errors: [] });
    expect(space.engine.get('a')?.embedding[0]).toBe(1);
  }
});

test('a put and a delete of one id leave it deleted however often their entry comes', async () => {
  const space = spaceOf({ dimension: 1 });
  const frame = frameOf([one('a'), one('b')], ['a']);
  for (let time = 0; time < 3; time++) {
    expect(space.engine.apply(frame, 5, 'normal').errors).toEqual([]);
    expect(space.engine.get('a')).toBeUndefined();
    expect(space.engine.stats).toMatchObject({ count: 1, tombstones: 1 });
    const hits = await space.engine.recall({ embedding: Float32Array.of(1), k: 9 });
    expect(hits).toMatchObject([{ id: 'b' }]);
  }
});

test('of an entry that is applied for its deletes only, the puts come with it when it comes whole', () => {
  const space = spaceOf({ dimension: 1 });
  const { engine } = space;
  apply(space, 1, [one('old'), one('twice'), one('kept')]);
  const frame = frameOf([one('new', 2), one('kept', 2), one('twice', 2)], ['old', 'twice']);
  expect(engine.apply(frame, 2, 'normal', true)).toMatchObject({ applied: 2, errors: [] });
  expect(engine.get('old')).toBeUndefined();
  expect(engine.get('twice')).toBeUndefined();
  expect(engine.get('new')).toBeUndefined();
  expect(engine.get('kept')).toMatchObject({ sequence: 1 });
  expect(engine.apply(frame, 2, 'normal', true)).toMatchObject({ applied: 0, errors: [] });
  expect(engine.apply(frame, 2, 'normal').errors).toEqual([]);
  expect(engine.get('old')).toBeUndefined();
  expect(engine.get('twice')).toBeUndefined();
  expect(engine.get('new')).toMatchObject({ sequence: 2 });
  expect(engine.get('kept')).toMatchObject({ sequence: 2 });
  expect(engine.stats.count).toBe(2);
});

test('a bad put of an entry is not reported while only its deletes are applied', () => {
  const space = spaceOf({ dimension: 1 });
  const frame = frameOf([one('nan', NaN)], ['x']);
  expect(space.engine.apply(frame, 1, 'normal', true)).toMatchObject({ applied: 1, errors: [] });
  expect(space.engine.apply(frame, 1, 'normal').errors).toMatchObject([
    { index: 0, id: 'nan', code: 'INVALID_EMBEDDING' },
  ]);
});
