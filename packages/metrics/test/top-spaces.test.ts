import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MetricsRegistry, TopSpaces } from '../src/index.ts';

const PLACES = 3;
const WINDOW_MS = 100;

function topSpaces() {
  const registry = new MetricsRegistry('gateway', 'test');
  const clock = { nowMs: 0 };
  const spaces = new TopSpaces(registry, 'items_total', 'Items', {
    placesMax: PLACES,
    windowMs: WINDOW_MS,
    now: () => clock.nowMs,
  });
  const told = async () =>
    Object.fromEntries(
      [
        ...(await registry.render()).matchAll(/^engram_items_total\{space="(.*?)".*\} (\d+)$/gm),
      ].map(([, space, count]) => [space!, Number(count)]),
    );
  return { spaces, clock, told };
}

test('the first spaces have names, all others are one', async () => {
  const { spaces, told } = topSpaces();
  for (const space of ['a', 'b', 'c', 'd', 'e', 'a', 'other']) spaces.add(space, 2);
  expect(await told()).toEqual({ a: 4, b: 2, c: 2, other: 6 });
});

test('who is more than twice as busy takes a place, and who is not does not', async () => {
  const { spaces, clock, told } = topSpaces();
  for (const space of ['a', 'b', 'c']) spaces.add(space, 10);
  spaces.add('d', 60);
  spaces.add('e', 19);
  clock.nowMs = WINDOW_MS;
  expect(await told()).toEqual({ b: 10, c: 10, d: 0, other: 79 });
  spaces.add('d', 5);
  spaces.add('e', 1);
  clock.nowMs = 2 * WINDOW_MS;
  // Silent ones give theirs to anybody.
  expect(await told()).toEqual({ c: 10, d: 5, e: 0, other: 80 });
});

test('a busy one keeps its place, however many others come before it in a window', async () => {
  const { spaces, clock, told } = topSpaces();
  for (const space of ['a', 'b', 'c']) spaces.add(space, 1);
  clock.nowMs = WINDOW_MS;
  for (let i = 0; i < 2_000; i++) spaces.add(`many-${i}`, 3);
  for (const space of ['a', 'b', 'c']) spaces.add(space, 100);
  clock.nowMs = 2 * WINDOW_MS;
  expect(await told()).toEqual({ a: 101, b: 101, c: 101, other: 6_000 });
});

test('there are never more names than places, and nothing is lost within a window', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.string({ minLength: 1, maxLength: 2 }), fc.nat(9)), { maxLength: 40 }),
      async (adds) => {
        const { spaces, told } = topSpaces();
        const safe = adds.map(
          ([space, count]) => [`s${Buffer.from(space).toString('hex')}`, count] as const,
        );
        for (const [space, count] of safe) spaces.add(space, count);
        const counts = await told();
        expect(Object.keys(counts).length).toBeLessThanOrEqual(PLACES + 1);
        const sum = Object.values(counts).reduce((all, count) => all + count, 0);
        expect(sum).toBe(safe.reduce((all, [, count]) => all + count, 0));
      },
    ),
  );
});
