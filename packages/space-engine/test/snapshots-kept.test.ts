import type { Lane } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { emptySpace, openSpace, type OpenSpace } from '../src/open-space.ts';
import type { EngineOptions } from '../src/options.ts';
import { configOf, frameOf, optionsOf } from './frames.ts';
import { scratchFolder } from './scratch.ts';

const QUERY = Float32Array.of(3, 1);

describe('a snapshot', () => {
  const rows = Array.from({ length: 2_000 }, (_, i) => ({ id: `r${i}`, x: i + 1 }));
  const ask = { embedding: QUERY, k: 3_000 };

  /** A space of which three quarters were deleted by its second entry. */
  const mostlyDeleted = (lane: Lane, more: Partial<EngineOptions> = {}): OpenSpace => {
    const options = optionsOf(scratchFolder(), { graphThreshold: Infinity, ...more });
    const space = emptySpace(configOf({ dimension: 2 }), options);
    const puts = rows.map(({ id, x }) => ({ id, embedding: [x, 1] }));
    const deletes = rows.slice(0, 1_500).map(({ id }) => id);
    space.engine.apply(frameOf(puts), 1, 'normal');
    space.engine.apply(frameOf([], deletes), 2, lane);
    return space;
  };

  test('is refused once its rows were compacted out of memory, and newer ones are right', async () => {
    const { engine, upkeep } = mostlyDeleted('normal', { snapshotKeepMs: 100 });
    const at = (normal: number) => ({ ...ask, asOf: { high: 0, normal, low: 0 } });
    const puts = rows.map(({ id, x }) => ({ id, embedding: [x, 1] }));
    engine.apply(frameOf(puts.slice(0, 10)), 3, 'normal');
    for (let nowMs = 0; nowMs < 100; nowMs += 50) {
      upkeep.tick(nowMs, false);
      expect(await engine.recall(at(1))).toHaveLength(2_000);
      expect(await engine.recall(at(2))).toHaveLength(500);
      expect(await engine.recall(at(3))).toHaveLength(510);
    }
    engine.apply(frameOf([], ['r1999']), 4, 'normal');
    upkeep.tick(100, false);
    expect(engine.segments.growing.rows).toBe(510);
    await expect(engine.recall(at(1))).rejects.toMatchObject({ code: 'POSITION_EXPIRED' });
    expect(await engine.recall(at(2))).toHaveLength(500);
    expect(await engine.recall(at(3))).toHaveLength(510);
    expect(await engine.recall(at(4))).toHaveLength(509);
    expect(await engine.recall(ask)).toHaveLength(509);
  });

  test('costs no copy of what is kept for it', () => {
    const { engine, upkeep } = mostlyDeleted('normal');
    const before = engine.segments.growing;
    for (let nowMs = 0; nowMs < 3; nowMs++) upkeep.tick(nowMs, false);
    expect(engine.segments.growing).toBe(before);
  });

  test('has as many as were asked for after a crash, though some rows came twice into the space', async () => {
    const options = optionsOf(scratchFolder(), { graphThreshold: 2 });
    const space = emptySpace(configOf({ dimension: 2, metric: 'l2' }), options);
    const puts = rows.slice(0, 10).map(({ id, x }) => ({ id, embedding: [x, 1] }));
    // One lives on: a segment of nothing but dead rows is worth no file.
    const later = puts.slice(0, 9).map(({ id }) => ({ id, embedding: [99, 1] }));
    const entries = [frameOf(puts.slice(0, 5)), frameOf(later.slice(0, 1)), frameOf(puts.slice(5))];
    space.engine.apply(entries[0]!, 1, 'normal');
    space.engine.apply(entries[2]!, 3, 'normal');
    space.engine.segments.roll();
    space.engine.apply(entries[1]!, 2, 'normal');
    space.upkeep.buildGraph(() => false);
    space.engine.apply(frameOf(later), 4, 'normal');
    space.engine.complete(4);
    // The file knows of deaths whose causes are in memory, and so the log is replayed from before.
    await space.upkeep.tend();
    space.engine.segments.close();
    const { engine } = await openSpace(space.engine.config, options);
    expect(engine.completeTo).toBe(1);
    entries.forEach((frame, i) => engine.apply(frame, i + 1, 'normal'));
    engine.apply(frameOf(later), 4, 'normal');
    const asOf = { high: 0, normal: 3, low: 0 };
    for (const k of [1, 6, 10, 50])
      expect(await engine.recall({ embedding: QUERY, k, asOf })).toHaveLength(Math.min(k, 10));
  });

  test('is not kept where memory is short', async () => {
    const { engine, upkeep } = mostlyDeleted('high');
    upkeep.tick(0, false);
    expect(engine.segments.growing.rows).toBe(2_000);
    upkeep.tick(1, true);
    expect(engine.segments.growing.rows).toBe(500);
    const asOf = { high: 0, normal: 1, low: 0 };
    await expect(engine.recall({ ...ask, asOf })).rejects.toMatchObject({
      code: 'POSITION_EXPIRED',
      status: 410,
    });
    expect(await engine.recall({ ...ask, asOf: { ...asOf, high: 2 } })).toHaveLength(500);
  });

  test('that is refused stays refused after the space was unloaded', async () => {
    const options = optionsOf(scratchFolder(), { graphThreshold: Infinity, snapshotKeepMs: 0 });
    const config = configOf({ dimension: 2 });
    const { engine, upkeep } = emptySpace(config, options);
    engine.apply(frameOf(rows.map(({ id, x }) => ({ id, embedding: [x, 1] }))), 1, 'normal');
    engine.apply(
      frameOf(
        [],
        rows.slice(0, 1_500).map(({ id }) => id),
      ),
      2,
      'normal',
    );
    upkeep.tick(0, false);
    expect(await upkeep.unload()).toBe(true);
    const opened = await openSpace(config, options);
    const at = (normal: number) => ({ ...ask, asOf: { high: 0, normal, low: 0 } });
    await expect(opened.engine.recall(at(1))).rejects.toMatchObject({ code: 'POSITION_EXPIRED' });
    expect(await opened.engine.recall(at(2))).toHaveLength(500);
  });
});
