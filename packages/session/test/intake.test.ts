import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Intake } from '../src/intake.ts';
import { Outbox } from '../src/outbox.ts';
import { windowOf, windowShare } from '../src/window.ts';

test('a gap and a duplicate are told by what was expected', () => {
  const intake = new Intake(4);
  intake.open({ items: 10, bytes: 100 });
  expect(intake.offer(6, 1, 1)).toEqual({ kind: 'gap', expected: 5 });
  expect(intake.offer(5, 1, 1)).toEqual({ kind: 'taken' });
  expect(intake.offer(5, 1, 1)).toEqual({ kind: 'duplicate', acked: 4 });
  expect(intake.offer(4, 1, 1)).toEqual({ kind: 'duplicate', acked: 4 });
  expect(intake.offer(7, 1, 1)).toEqual({ kind: 'gap', expected: 6 });
});

test('what goes beyond the credit is not taken, in items as in bytes', () => {
  const intake = new Intake(0);
  intake.open({ items: 10, bytes: 100 });
  expect(intake.offer(1, 10, 50)).toEqual({ kind: 'taken' });
  expect(intake.offer(2, 1, 1)).toMatchObject({ kind: 'over', asked: { items: 11, bytes: 51 } });
  intake.ack(1);
  intake.open({ items: 10, bytes: 100 });
  expect(intake.granted).toEqual({ items: 20, bytes: 150 });
  expect(intake.offer(2, 1, 101)).toMatchObject({ kind: 'over' });
  expect(intake.offer(2, 10, 100)).toEqual({ kind: 'taken' });
});

test('an answer to what was never taken is a broken invariant', () => {
  const intake = new Intake(0);
  intake.open({ items: 10, bytes: 100 });
  intake.offer(1, 1, 1);
  expect(() => intake.ack(2)).toThrow(RangeError);
  expect(intake.ack(1)).toBe(true);
  expect(intake.ack(1)).toBe(false);
});

test('granted totals never fall, however windows change, and the client never goes beyond them', () => {
  const window = fc.record({ items: fc.nat(20), bytes: fc.nat(200) });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(window, fc.integer({ min: 1, max: 9 })), { maxLength: 50 }),
      (steps) => {
        const intake = new Intake(0);
        const outbox = new Outbox<undefined>();
        outbox.connected(intake.granted);
        let before = intake.granted;
        for (const [next, items] of steps) {
          intake.open(next);
          const { granted } = intake;
          expect(granted.items).toBeGreaterThanOrEqual(before.items);
          expect(granted.bytes).toBeGreaterThanOrEqual(before.bytes);
          before = granted;
          outbox.grant(granted);
          outbox.add(items, items * 10, undefined);
          for (let sent = outbox.take(); sent !== undefined; sent = outbox.take())
            expect(intake.offer(sent.seq, sent.items, sent.bytes)).toEqual({ kind: 'taken' });
          if (intake.pending > 0) {
            intake.ack(intake.acked + 1);
            outbox.ack(intake.acked);
          }
        }
      },
    ),
  );
});

test('the window shrinks with what is filled and always has room for one batch', () => {
  const limits = { most: { items: 100, bytes: 1_000 }, least: { items: 10, bytes: 200 } };
  const at = (fill: number) => windowOf(windowShare(fill), limits);
  expect(at(0)).toEqual({ items: 100, bytes: 1_000 });
  expect(at(0.5)).toEqual({ items: 100, bytes: 1_000 });
  expect(at(0.75)).toEqual({ items: 50, bytes: 500 });
  expect(at(3)).toEqual({ items: 10, bytes: 200 });
});
