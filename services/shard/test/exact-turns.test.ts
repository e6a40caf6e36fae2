import type { Clock } from '@engram/runtime';
import { expect, test } from 'vitest';
import { ExactTurns } from '../src/serve/exact-turns.ts';

class Turns {
  readonly running: string[] = [];
  readonly #ends = new Map<string, () => void>();
  readonly #sleepers = new Set<() => void>();
  readonly #turns = new ExactTurns(2, this.#clock());

  ask(name: string): Promise<string> {
    return this.#turns.run(async () => {
      this.running.push(name);
      await new Promise<void>((end) => this.#ends.set(name, end));
      this.running.splice(this.running.indexOf(name), 1);
      return name;
    });
  }

  /** The time that may be waited is over for all who wait. */
  async late(): Promise<void> {
    for (const wake of this.#sleepers) wake();
    await new Promise(setImmediate);
  }

  #clock(): Clock {
    const sleep = (_ms: number, signal?: AbortSignal) =>
      new Promise<void>((wake) => {
        this.#sleepers.add(wake);
        signal?.addEventListener('abort', () => wake());
      });
    return { sleep } as Clock;
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)!();
    await new Promise(setImmediate);
  }
}

test('as many run as may, the others in the order that they came', async () => {
  const turns = new Turns();
  const answers = ['a', 'b', 'c', 'd'].map((name) => turns.ask(name));
  await new Promise(setImmediate);
  expect(turns.running).toEqual(['a', 'b']);
  await turns.end('b');
  expect(turns.running).toEqual(['a', 'c']);
  for (const name of ['a', 'c', 'd']) await turns.end(name);
  expect(await Promise.all(answers)).toEqual(['a', 'b', 'c', 'd']);
  const later = turns.ask('e');
  await new Promise(setImmediate);
  await turns.end('e');
  expect(await later).toBe('e');
});

test('who has waited too long is refused though nobody is done, and who comes later has a turn', async () => {
  const turns = new Turns();
  const [first, second, late] = ['a', 'b', 'late'].map((name) => turns.ask(name));
  const refused = expect(late).rejects.toMatchObject({ code: 'BACKPRESSURE' });
  await new Promise(setImmediate);
  await turns.late();
  await refused;
  expect(turns.running).toEqual(['a', 'b']);
  const next = turns.ask('next');
  await turns.end('a');
  expect(turns.running).toEqual(['b', 'next']);
  await turns.end('b');
  await turns.end('next');
  expect(await Promise.all([first, second, next])).toEqual(['a', 'b', 'next']);
});

test('only so many may wait', async () => {
  const turns = new Turns();
  const asked = Array.from({ length: 2 + 64 }, (_, i) => turns.ask(String(i)));
  await expect(turns.ask('too many')).rejects.toMatchObject({ code: 'BACKPRESSURE' });
  for (let i = 0; i < asked.length; i++) {
    await new Promise(setImmediate);
    await turns.end(String(i));
  }
  await Promise.all(asked);
});

test('work that fails gives its turn on', async () => {
  const turns = new ExactTurns(1, {} as Clock);
  await expect(turns.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await turns.run(() => Promise.resolve(1))).toBe(1);
});
