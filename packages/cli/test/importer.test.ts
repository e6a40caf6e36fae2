import { setImmediate as turn } from 'node:timers/promises';
import type { PutResult } from '@engram/client';
import { describe, expect, test } from 'vitest';
import { Importer, type ImportOptions, type Writer } from '../src/import/importer.ts';
import type { GoodRow } from '../src/import/row.ts';

/** A cluster whose answers wait until the test gives them. */
class HeldWriter implements Writer {
  /** The ids of every batch that was sent, in that order. */
  readonly sent: string[][] = [];
  readonly #waiting: (() => void)[] = [];

  put: Writer['put'] = async (_space, observations, options) => {
    this.sent.push(observations.map(({ id }) => id));
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push(resolve);
      options?.signal?.addEventListener('abort', () => reject(options.signal?.reason as Error));
    });
    const accepted = observations.length;
    return { accepted, rejected: 0, errors: [], errorsTruncated: false } satisfies PutResult;
  };

  answer(nth: number): void {
    this.#waiting[nth]?.();
  }
}

async function* rowsOf(...ids: string[]): AsyncGenerator<GoodRow, void> {
  for (const [index, id] of ids.entries()) {
    await turn();
    yield { line: index + 1, text: id, observation: { id, embedding: [1] } };
  }
}

const OPTIONS: ImportOptions = {
  batch: 1,
  concurrency: 4,
  signal: new AbortController().signal,
  onRejected: () => Promise.resolve(),
};

/** Long enough for an importer that does not wait to send all it has. */
async function settled(): Promise<void> {
  for (let i = 0; i < 50; i++) await turn();
}

describe('the importer', () => {
  test('the last line of an id wins: it waits until the line before it is stored', async () => {
    const writer = new HeldWriter();
    const outcome = new Importer(writer, 's', OPTIONS).run(rowsOf('a', 'b', 'a', 'c'));
    await settled();
    writer.answer(1);
    await settled();
    expect(writer.sent).toEqual([['a'], ['b']]);
    writer.answer(0);
    await settled();
    expect(writer.sent).toEqual([['a'], ['b'], ['a'], ['c']]);
    writer.answer(2);
    writer.answer(3);
    expect(await outcome).toMatchObject({ accepted: 4, stoppedAfterLine: undefined });
  });

  test('an id that stands twice in one batch is two batches', async () => {
    const writer = new HeldWriter();
    const options = { ...OPTIONS, batch: 10 };
    const outcome = new Importer(writer, 's', options).run(rowsOf('a', 'b', 'a'));
    await settled();
    writer.answer(0);
    await settled();
    writer.answer(1);
    expect(await outcome).toMatchObject({ accepted: 3 });
    expect(writer.sent).toEqual([['a', 'b'], ['a']]);
  });

  test('reading stops while as many batches are on their way as allowed', async () => {
    const writer = new HeldWriter();
    const options = { ...OPTIONS, concurrency: 2 };
    const outcome = new Importer(writer, 's', options).run(rowsOf('a', 'b', 'c'));
    await settled();
    expect(writer.sent).toEqual([['a'], ['b']]);
    for (const nth of [0, 1, 2]) {
      writer.answer(nth);
      await settled();
    }
    expect(await outcome).toMatchObject({ accepted: 3 });
  });

  test('a batch that is not answered after an interrupt is given up, and told', async () => {
    const writer = new HeldWriter();
    const stop = new AbortController();
    const options = { ...OPTIONS, signal: stop.signal, interruptGraceMs: 0 };
    const outcome = new Importer(writer, 's', options).run(rowsOf('a', 'b', 'c'));
    await settled();
    writer.answer(0);
    await settled();
    stop.abort();
    expect(await outcome).toMatchObject({
      accepted: 1,
      stoppedAfterLine: 1,
      failure: { message: 'the batches on their way were not answered in time' },
    });
  });
});
