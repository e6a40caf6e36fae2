import { rm } from 'node:fs/promises';
import { ClusterError, type SpaceConfig } from '@engram/model';
import { Deaths, forEachStored } from './deaths.ts';
import { IdTable } from './id-table.ts';
import { graphPath, readManifest, rowsPath, type Manifest, type SegmentEntry } from './manifest.ts';
import type { MemorySegment } from './memory-segment.ts';
import type { EngineOptions } from './options.ts';
import { Retention } from './retention.ts';
import type { RowRecords } from './row-records.ts';
import { damaged, type RowsFile } from './rows-file.ts';
import type { SealedSegment } from './sealed-segment.ts';
import { SegmentSet } from './segment-set.ts';
import { SpaceEngine } from './space-engine.ts';
import { laneOf, sequenceOf } from './stamp.ts';
import { openSealed, removeFolder, SpaceFiles, type Part } from './space-files.ts';
import { Upkeep } from './upkeep.ts';
import { openMarked, openVerified, verifyGraph } from './verify-files.ts';

/** Rows whose records or embeddings are read at once. */
const ROWS_AT_ONCE = 4_096;

export interface OpenSpace {
  readonly engine: SpaceEngine;
  readonly upkeep: Upkeep;
  /** Files were damaged and set aside: what stood in them must come from the log again. */
  readonly isDamaged: boolean;
}

/** A space without files. */
export function emptySpace(config: SpaceConfig, options: EngineOptions): OpenSpace {
  const engine = new SpaceEngine(config, options);
  return { engine, upkeep: new Upkeep(engine), isDamaged: false };
}

/**
 * Opens a space from its folder. Every byte is checked first; a damaged file is reported, removed
 * and left out, and the rest is opened: the log brings back what is missing. Graphs that were made for
 * other settings are made again from their rows.
 */
export async function openSpace(
  config: SpaceConfig,
  options: EngineOptions,
  { areFilesVerified = false } = {},
): Promise<OpenSpace> {
  let manifest: Manifest | undefined;
  let isDamaged = false;
  try {
    manifest = await readManifest(options.folder);
  } catch (error) {
    options.onFault(ClusterError.from(error));
    isDamaged = true;
  }
  // Files of a space that was deleted and made again under its name are of no use to it.
  const isSame = manifest?.config.afterSequence === config.afterSequence;
  const dimension = manifest?.config.dimension;
  if (isSame && dimension !== config.dimension) {
    const detail = `its rows have ${dimension} dimensions, the space has ${config.dimension}`;
    options.onFault(damaged(options.folder, new Error(detail)));
    isDamaged = true;
  }
  if (manifest === undefined || !isSame || dimension !== config.dimension) {
    await removeFolder(options);
    return { ...emptySpace(config, options), isDamaged };
  }
  const isGraphOther = GRAPH_SETTINGS.some((key) => manifest.config[key] !== config[key]);
  const segments = new SegmentSet(config);
  const ids = new IdTable();
  const sealedFiles = new Map<SealedSegment, number>();
  const parts = new Map<MemorySegment, Part[]>();
  const context = { config, options, areFilesVerified };
  for (const entry of manifest.segments) {
    try {
      if (entry.graph === undefined || isGraphOther) {
        const { segment, part } = await loadPart(context, entry, segments, ids);
        parts.set(segment, [...(parts.get(segment) ?? []), part]);
      } else {
        const number = segments.freeNumber();
        const sealed = await loadSealed(context, entry, entry.graph, number, ids);
        segments.addSealed(sealed);
        sealedFiles.set(sealed, entry.file);
      }
    } catch (error) {
      options.onFault(ClusterError.from(error));
      isDamaged = true;
      for (const path of [rowsPath, graphPath])
        await rm(path(options.folder, entry.file), { recursive: true, force: true });
    }
  }
  const retention = new Retention(options.snapshotKeepMs, manifest);
  for (const { deaths } of manifest.segments)
    forEachStored(deaths, (_, stamp) => retention.note(sequenceOf(stamp), laneOf(stamp)));
  const engine = new SpaceEngine(config, options, {
    segments,
    ids,
    retention,
    tombstones: new Map(manifest.tombstones),
    completeTo: isDamaged ? 0 : manifest.completeTo,
  });
  const files = new SpaceFiles(engine, { sealed: sealedFiles, parts, next: manifest.nextFile });
  return { engine, upkeep: new Upkeep(engine, files), isDamaged };
}

/** Graphs are made for them, rows are not. */
const GRAPH_SETTINGS = [
  'metric',
  'engine',
  'quantization',
  'm',
  'efConstruction',
] as const satisfies readonly (keyof SpaceConfig)[];

interface Context extends Pick<SpaceEngine, 'config' | 'options'> {
  /** Every byte was read a moment ago. */
  readonly areFilesVerified: boolean;
}

async function openRows(context: Context, entry: SegmentEntry): Promise<RowsFile> {
  const { config, options, areFilesVerified } = context;
  const facts = { dimension: config.dimension, checksum: entry.checksum };
  const path = rowsPath(options.folder, entry.file);
  return areFilesVerified
    ? openMarked(path, facts)
    : openVerified(path, facts, () => turn(options));
}

function turn({ pace }: EngineOptions): Promise<void> {
  return pace.isDue() ? pace.turn() : Promise.resolve();
}

async function loadSealed(
  context: Context,
  entry: SegmentEntry,
  graph: NonNullable<SegmentEntry['graph']>,
  number: number,
  ids: IdTable,
): Promise<SealedSegment> {
  const { options } = context;
  const file = await openRows(context, entry);
  try {
    if (!context.areFilesVerified)
      await verifyGraph(graphPath(options.folder, entry.file), graph, () => turn(options));
    const deaths = deathsOf(entry, file.rows);
    const parts: { from: number; count: number; records: RowRecords }[] = [];
    let oldest = Infinity;
    for (let from = 0; from < file.rows; from += ROWS_AT_ONCE) {
      const count = Math.min(ROWS_AT_ONCE, file.rows - from);
      const { records } = file.readRecords(from, count);
      parts.push({ from, count, records });
      for (let i = 0; i < count; i++) oldest = Math.min(oldest, sequenceOf(records.stamp(i)));
      await turn(options);
    }
    const sealed = openSealed(context, number, entry.file, file.rows, graph, deaths, oldest);
    // Only now, when nothing can fail any more: no id may point to a segment that is not there.
    for (const { from, count, records } of parts) addIds(records, from, count, number, deaths, ids);
    return sealed;
  } finally {
    file.close();
  }
}

/** Reads rows back into the segment that grows, which a full one ends. */
async function loadPart(
  context: Context,
  entry: SegmentEntry,
  segments: SegmentSet,
  ids: IdTable,
): Promise<{ readonly segment: MemorySegment; readonly part: Part }> {
  const { config, options } = context;
  const file = await openRows(context, entry);
  if (segments.growing.stored.storedBytes >= options.segmentBytesMax) segments.roll();
  const segment = segments.growing;
  const first = segment.rows;
  try {
    const slab = new Float32Array(Math.min(ROWS_AT_ONCE, file.rows) * config.dimension);
    for (let from = 0; from < file.rows; from += ROWS_AT_ONCE) {
      const count = Math.min(ROWS_AT_ONCE, file.rows - from);
      file.readEmbeddings(from, count, slab);
      const { records, textStart } = file.readRecords(from, count);
      const text = file.readText(textStart, records.textEnd(count - 1));
      for (let i = 0; i < count; i++)
        segment.append({
          slab,
          offset: i * config.dimension,
          text,
          idStart: (i === 0 ? textStart : records.textEnd(i - 1)) - textStart,
          idEnd: records.idEnd(i) - textStart,
          metadataStart: records.idEnd(i) - textStart,
          metadataEnd: records.textEnd(i) - textStart,
          stamp: records.stamp(i),
          timestamp: records.timestamp(i),
          hashHigh: records.hashHigh(i),
          hashLow: records.hashLow(i),
        });
      await turn(options);
    }
  } catch (error) {
    // What came before it broke off is of no use without the rest.
    for (let row = first; row < segment.rows; row++) segment.kill(row, segment.stamp(row));
    throw error;
  } finally {
    file.close();
  }
  forEachStored(entry.deaths, (row, stamp) => segment.kill(first + row, stamp));
  const { records } = segment.stored;
  for (let row = first; row < segment.rows; row++)
    if (segment.deaths.isAlive(row))
      ids.add(records.hashHigh(row), records.hashLow(row), segment.number, row);
  const { file: number, checksum } = entry;
  return { segment, part: { file: number, checksum, from: first, to: segment.rows } };
}

function deathsOf(entry: SegmentEntry, rows: number): Deaths {
  const deaths = new Deaths();
  forEachStored(entry.deaths, (row, stamp) => {
    if (row < rows) deaths.kill(row, stamp);
  });
  return deaths;
}

function addIds(
  records: RowRecords,
  from: number,
  count: number,
  number: number,
  deaths: Deaths,
  ids: IdTable,
): void {
  for (let i = 0; i < count; i++)
    if (deaths.isAlive(from + i))
      ids.add(records.hashHigh(i), records.hashLow(i), number, from + i);
}
