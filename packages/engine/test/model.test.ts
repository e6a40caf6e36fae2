// Many things at once, against a model: what the engine has in the end, and what recalls see meanwhile.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LANES } from '@engram/model';
import { describe, expect, test } from 'vitest';
import type { Entry } from '../src/index.ts';
import { CRASHING, startEngine } from './engines.ts';
import { expectSame, feed, feedAll, Log, namesOn, recallAtTen, Space } from './spaces.ts';
import { until } from './until.ts';
import { seededRandom } from '../../../test/support/random.ts';

const OPERATIONS = 400;

describe('an engine under everything at once', () => {
  test.each([1, 2])(
    'ends with what was written, and shows nothing twice (seed %i)',
    async (seed) => {
      const random = seededRandom(seed);
      const below = (n: number) => Math.floor(random() * n);
      const given: Entry[] = [];
      let replays: Promise<unknown> = Promise.resolve();
      const { engine, told, dataDir } = await startEngine({
        entry: CRASHING,
        segmentBytesMax: 8 * 1024,
        graphThreshold: 60,
        stealThreshold: 20,
        idleUnloadMs: 20,
        onLost: ({ spaces }) => {
          const lost = new Set<string>(spaces);
          const entries = given.filter(({ config }) => lost.has(config.space));
          replays = replays.then(() => feedAll(engine, entries));
        },
      });
      const log = new Log();
      const spaces = [...namesOn(0, 4), ...namesOn(1, 2)].map(
        (name, n) =>
          new Space(log, name, {
            partition: n % 4,
            dimension: n === 0 ? 48 : 12,
            efConstruction: n === 0 ? 400 : 32,
          }),
      );
      // It asks the workers, and one of them ends.
      const look = () => engine.refresh().catch(() => engine.totals);
      let isOver = false;
      const recalls = (async () => {
        let count = 0;
        for (; !isOver; count++) {
          const space = spaces[count % spaces.length]!;
          const hits = await engine
            .recall({ config: space.config, embedding: space.embedding(), k: 20, include: [] })
            .catch((error: unknown) => {
              // Under way when a worker ended.
              expect(error).toMatchObject({ code: 'PARTITION_UNAVAILABLE' });
              return [];
            });
          expect(new Set(hits.map(({ id }) => id)).size).toBe(hits.length);
          for (const { id } of hits) expect(space.written).toContain(id);
        }
        return count;
      })();
      const burst = spaces[0]!.fill(1_200, 50);
      given.push(...burst);
      const pending: Promise<unknown>[] = [feedAll(engine, burst)];
      for (let n = 0; n < OPERATIONS; n++) {
        // The first space is hot.
        const space = spaces[random() < 0.5 ? 0 : below(spaces.length)]!;
        const idOf = () => `id-${below(700)}`;
        const puts = new Set(Array.from({ length: below(25) }, idOf));
        const deletes = new Set(Array.from({ length: below(6) }, idOf));
        const note = n === OPERATIONS / 2 ? 'CRASH-ONCE-m' : '';
        const entry = space.write(note === '' ? [...puts] : [...puts, 'poison'], {
          deletes: [...deletes].filter((id) => !puts.has(id)),
          lane: LANES[below(3)]!,
          note,
        });
        given.push(entry);
        pending.push(feed(engine, entry));
        if (random() < 0.1) await pending.at(-1);
        if (random() < 0.05) await look();
        // Now and then there is nothing to do for so long that spaces are idle.
        if (n % 100 === 99) {
          await Promise.all(pending.splice(0));
          await until('a space is idle', async () => (await look()).unloaded > 0);
        }
      }
      await Promise.all(pending);
      for (let seen; seen !== replays;) await (seen = replays);
      isOver = true;
      expect(await recalls).toBeGreaterThan(10);
      expect(told.crashes).toHaveLength(1);
      expect(existsSync(join(dataDir, 'CRASH-ONCE-m'))).toBe(true);
      for (const space of spaces) {
        await engine.indexed(space.config);
        await expectSame(engine, space);
        expect(await recallAtTen(engine, space, 5)).toBeGreaterThanOrEqual(0.9);
      }
      // And the same from files.
      await engine.refresh();
      for (const space of spaces) await expectSame(engine, space);
      expect(told.failures).toEqual([]);
      const { stolen, merged } = engine.assists;
      process.stdout.write(`seed ${seed}: ${stolen} segments stolen, ${merged} merges\n`);
    },
  );
});
