import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Recovery } from '../src/recovery.ts';

interface Task {
  readonly n: number;
  /** How often it was under way when a thread ended, and whether it was alone there. */
  crashes: number;
  wasAlone: boolean;
  settled: 'answered' | 'given-up' | undefined;
}

/** A worker's slot without a thread: what is sent, answered and lost is said by the test. */
class Slot {
  readonly queued: Task[] = [];
  readonly recovery = new Recovery<Task>();
  underWay: Task[][] = [];

  pump(batchSize: number): void {
    if (this.recovery.isIsolating) {
      if (this.underWay.length > 0) return;
      const suspect = this.recovery.next();
      if (suspect !== undefined) this.underWay.push([suspect]);
      return;
    }
    while (this.underWay.length < 2 && this.queued.length > 0)
      this.underWay.push(this.queued.splice(0, batchSize));
  }

  answer(which: number): void {
    const [batch] = this.underWay.splice(which % Math.max(1, this.underWay.length), 1);
    if (batch === undefined) return;
    this.recovery.answered();
    for (const task of batch) settle(task, 'answered');
  }

  crash(): void {
    const lost = this.underWay.flat();
    this.underWay = [];
    for (const task of lost) {
      task.crashes++;
      task.wasAlone = lost.length === 1;
    }
    const given = this.recovery.crashed(lost);
    if (given === undefined) return;
    settle(given, 'given-up');
    // C1
    expect(given.crashes).toBe(2);
    expect(given.wasAlone).toBe(true);
  }
}

function settle(task: Task, how: 'answered' | 'given-up'): void {
  expect(task.settled).toBeUndefined();
  task.settled = how;
}

const newTask = (n: number): Task => ({ n, crashes: 0, wasAlone: false, settled: undefined });

describe('recovery', () => {
  test('each task settles once, and is given up only for a second crash alone (property)', () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.constant({ do: 'push' as const }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('answer' as const), which: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.constant({ do: 'crash' as const }) },
    );
    const batches = fc.integer({ min: 1, max: 5 });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), batches, (steps, batchSize) => {
        const slot = new Slot();
        const tasks: Task[] = [];
        for (const each of steps) {
          if (each.do === 'push') {
            const task = newTask(tasks.length);
            tasks.push(task);
            slot.queued.push(task);
          } else if (each.do === 'answer') slot.answer(each.which);
          else slot.crash();
          slot.pump(batchSize);
          // C2: what is suspected is not overtaken by what is new.
          if (slot.recovery.waiting.length > 0)
            expect(slot.underWay.flat().every(({ crashes }) => crashes > 0)).toBe(true);
        }
        // From now on the thread holds: everything ends.
        while (slot.underWay.length > 0) {
          slot.answer(0);
          slot.pump(batchSize);
        }
        expect(slot.recovery.isIsolating).toBe(false);
        expect(tasks.filter(({ settled }) => settled === undefined)).toEqual([]);
      }),
    );
  });

  test('of many tasks exactly those are given up that end their thread (property)', () => {
    const batches = fc.integer({ min: 1, max: 8 });
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 60 }), batches, (poisons, batchSize) => {
        const slot = new Slot();
        const tasks = poisons.map((_, n) => newTask(n));
        slot.queued.push(...tasks);
        slot.pump(batchSize);
        while (slot.underWay.length > 0) {
          if (slot.underWay[0]!.some(({ n }) => poisons[n])) slot.crash();
          else slot.answer(0);
          slot.pump(batchSize);
        }
        expect(tasks.map(({ settled }) => settled)).toEqual(
          poisons.map((isPoison) => (isPoison ? 'given-up' : 'answered')),
        );
      }),
    );
  });

  test('a crash with nothing under way takes nothing with it', () => {
    const recovery = new Recovery<string>();
    expect(recovery.crashed([])).toBeUndefined();
    expect(recovery.isIsolating).toBe(false);
    recovery.crashed(['a', 'b']);
    expect(recovery.crashed([])).toBeUndefined();
    expect([recovery.next(), recovery.next()]).toEqual(['a', undefined]);
    expect(recovery.waiting).toEqual(['b']);
    expect([recovery.end(), recovery.end()]).toEqual([['b'], []]);
  });
});
