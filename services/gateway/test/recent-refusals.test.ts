import { expect, test } from 'vitest';
import type { Refusal } from '@engram/admission';
import { systemClock } from '@engram/runtime';
import { RecentRefusals } from '../src/admission/recent-refusals.ts';

function refusals() {
  let nowMs = 0;
  const recent = new RecentRefusals({ ...systemClock, wallNow: () => nowMs });
  const note = (scope: Refusal['scope'], name?: string, cause: Refusal['cause'] = 'rate') =>
    recent.note({
      code: 'RATE_LIMITED',
      scope,
      cause,
      detail: '',
      retryAfterMs: 200,
      waitHelps: true,
      ...(name === undefined ? {} : { name }),
    });
  const pass = (ms: number) => (nowMs += ms);
  return { recent, note, pass };
}

test('tells who was refused within a minute, most refused first, each with its last cause', () => {
  const { recent, note, pass } = refusals();
  note('space', 'quiet');
  note('space', 'noisy');
  pass(1_000);
  note('space', 'noisy', 'share');
  note('caller', 'noisy');
  note('gateway');
  expect(recent.list).toEqual([
    {
      scope: 'space',
      name: 'noisy',
      cause: 'share',
      refused: 2,
      since: '1970-01-01T00:00:00.000Z',
      last: '1970-01-01T00:00:01.000Z',
    },
    expect.objectContaining({ scope: 'space', name: 'quiet', refused: 1 }),
    expect.objectContaining({ scope: 'caller', name: 'noisy', refused: 1 }),
    expect.objectContaining({ scope: 'gateway', refused: 1 }),
  ]);
  pass(59_500);
  expect(recent.list.map(({ name }) => name)).toEqual(['noisy', 'noisy', undefined]);
  pass(1_000);
  note('space', 'noisy');
  expect(recent.list).toMatchObject([{ name: 'noisy', refused: 1 }]);
});

test('keeps a thousand names, and lists twenty', () => {
  const { recent, note } = refusals();
  note('space', 'first');
  note('space', 'second');
  note('space', 'second');
  for (let i = 0; i < 999; i++) note('space', `space-${i}`);
  note('space', 'second');
  note('space', 'first'); // was forgotten, or it would be the second of the list
  const { list } = recent;
  expect(list).toHaveLength(20);
  expect(list[0]).toMatchObject({ name: 'second', refused: 3 });
  expect(list[1]).toMatchObject({ refused: 1 });
});
