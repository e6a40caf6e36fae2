// Writes into many spaces of a cluster in containers while things are done to it, and afterwards what has to be
// there.

import type { EngramClient } from '@engram/client';
import { expect } from 'vitest';
import { until } from '../support/until.ts';
import { loadWords, WORD_DIMENSION } from '../support/words.ts';

const BATCH = 250;

export class Writing {
  readonly #client: EngramClient;
  readonly #spaces: readonly string[];
  readonly #rows: number;
  readonly #done: Promise<void>;
  #accepted = 0;

  private constructor(client: EngramClient, spaces: number, rows: number) {
    this.#client = client;
    this.#spaces = Array.from({ length: spaces }, (_, i) => `imported-${i}`);
    this.#rows = rows;
    this.#done = this.#run();
    // Told by `whole`.
    this.#done.catch(() => undefined);
  }

  static start(client: EngramClient, spaces: number, rows: number): Writing {
    return new Writing(client, spaces, rows);
  }

  /** Waits until this share of everything is accepted. */
  async reached(share: number): Promise<void> {
    const wanted = share * this.#rows * this.#spaces.length;
    await until('so many are accepted', () => this.#accepted >= wanted, 300_000);
  }

  /** Everything is accepted, and what was is there, id by id. */
  async whole(): Promise<void> {
    await this.#done;
    await this.verified();
  }

  async verified(): Promise<void> {
    for (const space of this.#spaces) {
      const verified = await until(
        `${space} is verified`,
        () => this.#client.verify(space, { waitMs: 20_000 }),
        120_000,
      );
      expect(verified, space).toMatchObject({ ok: true, isExact: true, reasons: [] });
      expect(verified.counts, space).toEqual({ log: this.#rows, index: this.#rows });
    }
  }

  async #run(): Promise<void> {
    const set = await loadWords(this.#rows, 1);
    const observations = set.words.map((id, i) => ({ id, embedding: set.embeddings[i]! }));
    for (const space of this.#spaces)
      await until('the space is made', () =>
        this.#client.createSpace(space, { dimension: WORD_DIMENSION }),
      );
    for (let from = 0; from < this.#rows; from += BATCH)
      await Promise.all(
        this.#spaces.map(async (space) => {
          const batch = observations.slice(from, from + BATCH);
          // What is refused meanwhile comes again: the client said that it wants to write, not whether it may.
          await until('a batch is accepted', () => this.#client.put(space, batch), 120_000);
          this.#accepted += batch.length;
        }),
      );
  }
}
