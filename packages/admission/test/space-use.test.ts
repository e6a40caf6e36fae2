import { describe, expect, test } from 'vitest';
import { SpaceUse } from '../src/space-use.ts';

const SHARES_FOR_MS = 10_000;

describe('the use of what spaces share', () => {
  test('is what entered and did not leave, of each space and of all', () => {
    const use = new SpaceUse<string>();
    const leave = use.enter('a', 3, 0);
    use.enter('a', 2, 0);
    use.enter('b', 1, 0);
    expect([use.of('a'), use.of('b'), use.of('c'), use.underWay]).toEqual([5, 1, 0, 6]);
    leave();
    leave();
    expect([use.of('a'), use.underWay]).toEqual([2, 3]);
  });

  test('is shared by a space as long as it has something under way, and ten seconds after it entered', () => {
    const use = new SpaceUse<string>();
    const leave = use.enter('a', 1, 0);
    use.enter('b', 0, 0);
    expect(use.bySpace(SHARES_FOR_MS)).toEqual(
      new Map([
        ['a', 1],
        ['b', 0],
      ]),
    );
    expect(use.bySpace(SHARES_FOR_MS + 1)).toEqual(new Map([['a', 1]]));
    leave();
    expect(use.bySpace(SHARES_FOR_MS + 1)).toEqual(new Map());
  });

  test('is shared with others where another space than the one that asks has it', () => {
    const use = new SpaceUse<string>();
    expect(use.hasOthers('a')).toBe(false);
    use.enter('a', 0, 0);
    expect([use.hasOthers('a'), use.hasOthers('b')]).toEqual([false, true]);
    use.enter('b', 1, 0);
    expect(use.hasOthers('a')).toBe(true);
    use.expire(SHARES_FOR_MS + 1);
    expect([use.hasOthers('a'), use.hasOthers('b')]).toEqual([true, false]);
  });
});
