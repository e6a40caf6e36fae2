// What the files of a space hold, without opening it: this loads no engine.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { forEachStored, type StoredDeaths } from './deaths.ts';
import { decodeManifest, rowsPath } from './manifest.ts';
import { damaged, RowsFile } from './rows-file.ts';
import { sequenceOf } from './stamp.ts';

const ROWS_AT_ONCE = 4_096;

/** The files of a space, of which one is at hand at a time. */
export interface StoredFiles {
  /** @returns where the file of that name lies until it is released */
  bring(name: string): Promise<string>;
  release(name: string): Promise<void>;
}

/**
 * Visits the living ids of a space, each with the sequence of the entry that wrote it.
 * @param manifest as it stands in the space's folder
 * @throws ClusterError SEGMENT_DAMAGED
 */
export async function forEachStoredId(
  manifest: Buffer,
  files: StoredFiles,
  visit: (id: string, sequence: number) => void,
): Promise<void> {
  const { config, segments } = decodeManifest(manifest, 'of a checkpoint');
  for (const { file, checksum, deaths } of segments) {
    const name = rowsPath('', file);
    const path = await files.bring(name);
    const rows = RowsFile.open(path, config.dimension);
    try {
      if (rows.checksum !== checksum) throw damaged(path, new Error('it is another file'));
      await forEachLivingRow(rows, deadRows(deaths), visit);
    } finally {
      rows.close();
      await files.release(name);
    }
  }
}

function deadRows(deaths: StoredDeaths): ReadonlySet<number> {
  const rows = new Set<number>();
  forEachStored(deaths, (row) => rows.add(row));
  return rows;
}

async function forEachLivingRow(
  file: RowsFile,
  dead: ReadonlySet<number>,
  visit: (id: string, sequence: number) => void,
): Promise<void> {
  for (let from = 0; from < file.rows; from += ROWS_AT_ONCE) {
    const count = Math.min(ROWS_AT_ONCE, file.rows - from);
    const { records, textStart } = file.readRecords(from, count);
    const text = file.readText(textStart, records.textEnd(count - 1));
    let start = 0;
    for (let i = 0; i < count; i++) {
      const id = text.toString('utf8', start, records.idEnd(i) - textStart);
      start = records.textEnd(i) - textStart;
      if (!dead.has(from + i)) visit(id, sequenceOf(records.stamp(i)));
    }
    await nextTurn();
  }
}
