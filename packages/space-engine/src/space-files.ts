// The files of one space: which segment is made of which, and the manifest that names them.

import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ClusterError } from '@engram/model';
import { GRAPH_ENGINES } from '@engram/vector-index';
import type { Deaths } from './deaths.ts';
import {
  graphPath,
  rowsPath,
  writeManifest,
  type Manifest,
  type SegmentEntry,
} from './manifest.ts';
import type { MemorySegment } from './memory-segment.ts';
import { checksumOf, RowsFile, writeRowsFile } from './rows-file.ts';
import { SealedSegment } from './sealed-segment.ts';
import type { Segment } from './segment.ts';
import type { BuildResult } from './segment-build.ts';
import type { EngineOptions } from './options.ts';
import type { SpaceEngine } from './space-engine.ts';
import { sequenceOf } from './stamp.ts';

type GraphFacts = BuildResult['graph'];

/** Files of one segment in memory. */
const PARTS_MAX = 8;

/** Rows of a segment in memory that are in a file too. */
export interface Part {
  readonly file: number;
  readonly checksum: number;
  readonly from: number;
  readonly to: number;
}

type RowTest = (segment: Segment, row: number, death: number) => boolean;

/** What was opened from a folder. */
export interface OpenedFiles {
  readonly sealed: ReadonlyMap<SealedSegment, number>;
  /** In order and without a gap, from the first row of each segment on. */
  readonly parts: ReadonlyMap<MemorySegment, readonly Part[]>;
  readonly next: number;
}

const NOTHING: OpenedFiles = { sealed: new Map(), parts: new Map(), next: 1 };

export class SpaceFiles {
  readonly #space: Pick<SpaceEngine, 'config' | 'options'>;
  readonly #fileOf: Map<SealedSegment, number>;
  readonly #parts = new WeakMap<MemorySegment, readonly Part[]>();
  #next: number;

  constructor(
    space: Pick<SpaceEngine, 'config' | 'options'>,
    { sealed, parts, next }: OpenedFiles = NOTHING,
  ) {
    this.#space = space;
    this.#fileOf = new Map(sealed);
    for (const [segment, its] of parts) this.#parts.set(segment, its);
    // Numbers are never used again, so work for a thread that has ended cannot be taken for another's.
    this.#next = Math.max(next, space.options.firstFile);
  }

  get folder(): string {
    return this.#space.options.folder;
  }

  /** A number for new files. */
  take(): number {
    return this.#next++;
  }

  forget(segment: SealedSegment): void {
    this.#fileOf.delete(segment);
  }

  /** @returns the file's mark */
  async writeRows({ stored }: MemorySegment, file: number, from = 0): Promise<number> {
    const columns = stored.columns(from); // what is appended from here on is not in the file
    await mkdir(this.folder, { recursive: true });
    return writeRowsFile(rowsPath(this.folder, file), columns);
  }

  /** Writes the rows of a segment in memory that are in no file yet. */
  async writePart(segment: MemorySegment): Promise<void> {
    const before = this.#partsOf(segment);
    const from = before.at(-1)?.to ?? 0;
    const to = segment.rows;
    if (from === to) return;
    // Many small files are slow to read back: all of them are written anew as one.
    const isMany = before.length >= PARTS_MAX;
    const start = isMany ? 0 : from;
    const file = this.take();
    const checksum = await this.writeRows(segment, file, start);
    const part = { file, checksum, from: start, to };
    this.#parts.set(segment, isMany ? [part] : [...before, part]);
  }

  async writeGraph({ graph, encoding }: MemorySegment, file: number): Promise<GraphFacts> {
    const path = graphPath(this.folder, file);
    graph!.save(`${path}.tmp`);
    const { pace } = this.#space.options;
    const { bytes, crc } = await checksumOf(`${path}.tmp`, () => pace.turn());
    await rename(`${path}.tmp`, path);
    return { bytes, crc, encoding: encoding! };
  }

  /** @throws ClusterError SEGMENT_DAMAGED */
  open(
    number: number,
    file: number,
    rows: number,
    graph: GraphFacts,
    deaths: Deaths,
    oldest: number,
  ): SealedSegment {
    const sealed = openSealed(this.#space, number, file, rows, graph, deaths, oldest);
    this.#fileOf.set(sealed, file);
    return sealed;
  }

  /**
   * Writes what the space is made of now, and removes the files that nothing names any more.
   * @param away files that another thread works at; asked for when the folder was read
   * @param isCheckpoint all rows in memory are in files, but those that came while they were written
   */
  async writeManifest(
    engine: SpaceEngine,
    away: () => Iterable<number>,
    isCheckpoint: boolean,
  ): Promise<Manifest> {
    const { memory } = engine.segments;
    const { oldest, ids } = this.#unwritten(memory, isCheckpoint);
    // A row whose place was taken by one of those is alive in a checkpoint: until that entry has come again
    // the id would be in it neither as it was nor as it is. A delete that came after that entry comes again with it;
    // were it told here, it would seem to be done.
    const restored = new Set<string>();
    const isAlive: RowTest = (segment, row, death) => {
      if (sequenceOf(death) < oldest) return false; // as of nearly all, of which there may be a million
      const successors = ids.get(death);
      if (successors === undefined || segment.stamp(row) >= death) return false;
      const { id } = segment.read(row);
      if (!successors.has(id)) return false;
      restored.add(id);
      return true;
    };
    const sealed = engine.segments.sealed.map((segment): SegmentEntry => {
      const { bytes, crc, encoding } = segment.graphFile;
      return {
        file: this.#fileOf.get(segment)!,
        checksum: segment.file.checksum,
        graph: { bytes, crc, encoding },
        deaths: segment.deaths.stored(
          0,
          segment.rows,
          (row, stamp) => !isAlive(segment, row, stamp),
        ),
      };
    });
    const parts = memory.flatMap((segment) => this.#entriesOf(segment, isAlive));
    const manifest: Manifest = {
      config: engine.config,
      count: engine.count,
      segments: [...sealed, ...parts],
      tombstones: [...engine.tombstones].filter(
        ([id, stamp]) => !ids.has(stamp) && !restored.has(id),
      ),
      completeTo: Math.min(engine.completeTo, oldest - 1),
      ...engine.retention.stored,
      nextFile: this.#next,
    };
    await mkdir(this.folder, { recursive: true });
    await writeManifest(this.folder, manifest);
    await this.#sweep(manifest, away);
    return manifest;
  }

  #partsOf(segment: MemorySegment): readonly Part[] {
    return this.#parts.get(segment) ?? [];
  }

  #entriesOf(segment: MemorySegment, isAlive: RowTest): SegmentEntry[] {
    return this.#partsOf(segment).map(({ file, checksum, from, to }) => ({
      file,
      checksum,
      deaths: segment.deaths.stored(from, to, (row, stamp) => !isAlive(segment, row, stamp)),
    }));
  }

  /**
   * Of rows that are in no file yet: the lowest sequence, and where they matter the ids by the stamps of
   * their entries. As sets: an entry may have ten thousand, and each may have taken the place of a row.
   */
  #unwritten(
    segments: readonly MemorySegment[],
    withIds: boolean,
  ): { readonly oldest: number; readonly ids: ReadonlyMap<number, ReadonlySet<string>> } {
    const ids = new Map<number, Set<string>>();
    let oldest = Infinity;
    for (const segment of segments) {
      const from = this.#partsOf(segment).at(-1)?.to ?? 0;
      for (let row = from; row < segment.rows; row++)
        oldest = Math.min(oldest, sequenceOf(segment.stamp(row)));
      if (!withIds) continue;
      segment.forEachId(from, segment.rows, (_row, id, stamp) => {
        const its = ids.get(stamp);
        if (its === undefined) ids.set(stamp, new Set([id]));
        else its.add(id);
      });
    }
    return { oldest, ids };
  }

  async #sweep(manifest: Manifest, away: () => Iterable<number>): Promise<void> {
    const names = await readdir(this.folder);
    // Asked for afterwards: what is listed and still wanted is named by now.
    const named = new Set(manifest.segments.map(({ file }) => file));
    for (const file of away()) named.add(file);
    for (const name of names) {
      const file = /^(\d+)\.(rows|graph)(\.tmp)?$/.exec(name)?.[1];
      if (file !== undefined && !named.has(Number(file)))
        await rm(join(this.folder, name), { recursive: true, force: true });
    }
  }
}

/**
 * Removes a space's files. What cannot be removed is reported and harms nobody: a manifest names the
 * space that it belongs to, and files are never given a number twice.
 */
export async function removeFolder({ folder, onFault }: EngineOptions): Promise<void> {
  try {
    // Another thread may still write there what it builds for this space.
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  } catch (error) {
    const message = `the folder ${folder} cannot be removed`;
    onFault(new ClusterError('INTERNAL', message, { cause: error }));
  }
}

/** @throws ClusterError SEGMENT_DAMAGED */
export function openSealed(
  { config, options }: Pick<SpaceEngine, 'config' | 'options'>,
  number: number,
  file: number,
  rows: number,
  graphFile: BuildResult['graph'],
  deaths: Deaths,
  oldest: number,
): SealedSegment {
  const path = graphPath(options.folder, file);
  const rowsFile = RowsFile.open(rowsPath(options.folder, file), config.dimension);
  try {
    const graph = GRAPH_ENGINES[config.engine].open(path, config, graphFile.encoding, rows);
    return new SealedSegment(
      number,
      config,
      rowsFile,
      { path, ...graphFile },
      graph,
      deaths,
      oldest,
    );
  } catch (error) {
    rowsFile.close();
    throw error;
  }
}
