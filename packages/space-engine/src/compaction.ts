// Segments in memory without the rows that are gone for good.

import assert from 'node:assert/strict';
import { MemoryRows } from './memory-rows.ts';
import { MemorySegment } from './memory-segment.ts';
import type { SpaceEngine } from './space-engine.ts';

/**
 * Takes a segment out of the space. The caller puts what is given in its place: a segment with the rows that
 * are not removable, which its ids name already; none where there are none.
 */
export function compacted(
  { segments, ids, retention, config }: SpaceEngine,
  segment: MemorySegment,
): MemorySegment {
  const { records } = segment.stored;
  const rows = new MemoryRows(config.dimension);
  const number = segments.freeNumber();
  const dead: [row: number, stamp: number][] = [];
  for (let row = 0; row < segment.rows; row++) {
    const death = segment.deaths.at(row);
    if (retention.isRemovable(death)) continue;
    const to = rows.count;
    rows.copyFrom(segment.stored, row);
    if (death !== 0) {
      dead.push([to, death]);
      continue;
    }
    // Only the living have ids, and each is found by its hash: the table may have millions.
    const [high, low] = [records.hashHigh(row), records.hashLow(row)];
    let slot = ids.first(high, low);
    while (slot >= 0 && (ids.segment(slot) !== segment.number || ids.row(slot) !== row))
      slot = ids.next(slot, high, low);
    assert(slot >= 0, 'a living row has an id');
    ids.move(slot, number, to);
  }
  retention.removedOf(segment.deaths);
  const kept = new MemorySegment(number, config, rows);
  for (const [row, stamp] of dead) kept.kill(row, stamp);
  segments.remove([segment]);
  return kept;
}
