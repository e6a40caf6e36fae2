// Writes into many spaces of a cluster in containers while things are done to it, and afterwards what has to be
// there.

import { setTimeout as pause } from 'node:timers/promises';
import type { EngramClient } from '@engram/client';
import { expect } from 'vitest';
import { until } from '../support/until.ts';
import { loadWords, WORD_DIMENSION } from '../support/words.ts';

const BATCH = 20;
/** Between batches: what is tested is that nothing is lost, not how much two cores can take. */
const PAUSE_MS = 100;
const VECTORS = 5_000;
/** So many batches of each space say that it goes on. */
const BATCHES_MORE = 10;

export class Writing {
  readonly #client: EngramClient;
  readonly #spaces: readonly string[];
  readonly #done: Promise<void>;
  #batches = 0;
  #isOver = false;

  private constructor(client: EngramClient, spaces: number) {
    this.#client = client;
    this.#spaces = Array.from({ length: spaces }, (_, i) => `imported-${i}`);
    this.#done = this.#run();
    // Told by `whole`.
    this.#done.catch(() => undefined);
  }

  /** It writes until `whole` is asked for. */
  static start(client: EngramClient, spaces: number): Writing {
    return new Writing(client, spaces);
  }

  /** Waits until more has been accepted in every space than at the time of the call. */
  async goesOn(): Promise<void> {
    const wanted = this.#batches + BATCHES_MORE;
    await until('more is accepted', () => this.#batches >= wanted, 300_000);
  }

  /** No more is written, and what was accepted is there, id by id. */
  async whole(): Promise<void> {
    this.#isOver = true;
    await this.#done;
    await this.verified();
  }

  async verified(): Promise<void> {
    const rows = this.#batches * BATCH;
    expect(rows).toBeGreaterThan(0);
    for (const space of this.#spaces) {
      const verified = await until(
        `${space} is verified`,
        () => this.#client.verify(space, { waitMs: 20_000 }),
        120_000,
      );
      expect(verified, space).toMatchObject({ ok: true, isExact: true, reasons: [] });
      expect(verified.counts, space).toEqual({ log: rows, index: rows });
    }
  }

  async #run(): Promise<void> {
    const { embeddings } = await loadWords(VECTORS, 1);
    for (const space of this.#spaces)
      await until('the space is made', () =>
        this.#client.createSpace(space, { dimension: WORD_DIMENSION }),
      );
    while (!this.#isOver) {
      const from = this.#batches * BATCH;
      const batch = Array.from({ length: BATCH }, (_, i) => ({
        id: `word-${from + i}`,
        embedding: embeddings[(from + i) % VECTORS]!,
      }));
      await Promise.all(
        this.#spaces.map((space) =>
          // What is refused meanwhile comes again: the client said that it wants to write, not whether it may.
          until('a batch is accepted', () => this.#client.put(space, batch), 120_000),
        ),
      );
      this.#batches++;
      await pause(PAUSE_MS);
    }
  }
}
