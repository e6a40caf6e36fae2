import { expect, test } from 'vitest';
import { TimeLeft } from '../src/time-left.ts';

test('what is left is told by earlier runs, and by the pace of this one', () => {
  const left = new TimeLeft(
    ['a', 'b', 'c'],
    new Map([
      ['a', 60_000],
      ['b', 120_000],
    ]),
  );
  expect(left.text).toBe('about 3 min and more left');
  left.ended('a', 15_000); // a quick run
  expect(left.text).toBe('about 30 s and more left');
  left.ended('c', 1);
  expect(left.text).toBe('about 30 s left');
  left.ended('b', 30_000);
  expect(left.text).toBeUndefined();
});
