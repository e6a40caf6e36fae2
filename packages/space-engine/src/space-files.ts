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
import { RECORD_BYTES } from './row-records.ts';
import { checksumOf, RowsFile, writeRowsFile } from './rows-file.ts';
import { SealedSegment } from './sealed-segment.ts';
import type { BuildResult } from './segment-build.ts';
import type { EngineOptions } from './options.ts';
import type { SpaceEngine } from './space-engine.ts';

type GraphFacts = BuildResult['graph'];

export class SpaceFiles {
  readonly #space: Pick<SpaceEngine, 'config' | 'options'>;
  readonly #fileOf: Map<SealedSegment, number>;
  #next: number;

  /** @param files of the segments that were opened from the folder */
  constructor(
    space: Pick<SpaceEngine, 'config' | 'options'>,
    files: ReadonlyMap<SealedSegment, number> = new Map(),
    next = 1,
  ) {
    this.#space = space;
    this.#fileOf = new Map(files);
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
  async writeRows({ stored }: MemorySegment, file: number): Promise<number> {
    await mkdir(this.folder, { recursive: true });
    const { dimension } = this.#space.config;
    return writeRowsFile(rowsPath(this.folder, file), {
      dimension,
      rows: stored.count,
      textBytes: stored.textBytes,
      embeddings: stored.blocks.map(
        (block, i) => new Uint8Array(block.buffer, 0, stored.rowsInBlock(i) * dimension * 4),
      ),
      records: [stored.records.bytes.subarray(0, stored.count * RECORD_BYTES)],
      text: [stored.text],
    });
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
   * @param plain rows without a graph, which are the last to be written before the space is closed
   * @param away files that another thread works at; asked for when the folder was read
   */
  async writeManifest(
    engine: SpaceEngine,
    plain: readonly SegmentEntry[],
    away: () => Iterable<number>,
  ): Promise<void> {
    const sealed = engine.segments.sealed.map((segment): SegmentEntry => {
      const { bytes, crc, encoding } = segment.graphFile;
      return {
        file: this.#fileOf.get(segment)!,
        checksum: segment.file.checksum,
        graph: { bytes, crc, encoding },
        deaths: [...segment.deaths.entries()],
      };
    });
    const unwritten = plain.length > 0 ? [] : engine.segments.memory;
    const lowest = Math.min(...unwritten.map(({ oldest }) => oldest));
    const manifest: Manifest = {
      config: engine.config,
      segments: [...sealed, ...plain],
      tombstones: [...engine.tombstones],
      completeTo: Math.min(engine.completeTo, lowest - 1),
      horizon: engine.retention.horizon,
      nextFile: this.#next,
    };
    await mkdir(this.folder, { recursive: true });
    await writeManifest(this.folder, manifest);
    await this.#sweep(manifest, away);
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
