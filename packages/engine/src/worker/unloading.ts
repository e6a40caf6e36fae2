import type { LoadedSpace, SpaceTable } from './space-table.ts';

/** Thousands at once would take more memory than they give back. */
const AT_ONCE = 8;
/** One that was used since the list was made is left alone. */
const IDLE_MS_MIN = 25;

/** Takes idle spaces out of memory, a few at a time. */
export class Unloading {
  readonly #spaces: SpaceTable;
  #isRunning = false;

  constructor(spaces: SpaceTable) {
    this.#spaces = spaces;
  }

  /** Does nothing while it is at others; those that are left out are asked for again at a later tick. */
  async all(idle: readonly LoadedSpace[]): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      for (let from = 0; from < idle.length; from += AT_ONCE)
        await Promise.all(
          idle.slice(from, from + AT_ONCE).map(async (space) => {
            if (performance.now() - space.usedAtMs >= IDLE_MS_MIN) await this.#spaces.unload(space);
          }),
        );
    } finally {
      this.#isRunning = false;
    }
  }
}
