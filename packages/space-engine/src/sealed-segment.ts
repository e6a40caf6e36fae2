import type { SpaceConfig } from '@engram/model';
import { rank, type Encoding, type GraphIndex } from '@engram/vector-index';
import type { Deaths } from './deaths.ts';
import type { RowsFile } from './rows-file.ts';
import { observationOf, type Query, type Segment, type StoredObservation } from './segment.ts';

/** Rows whose metadata is read at once. */
const METADATA_ROWS = 1_024;

/** What a graph's file must be to be opened. */
export interface GraphFile {
  readonly path: string;
  readonly bytes: number;
  readonly crc: number;
  readonly encoding: Encoding;
}

/**
 * An immutable segment: its rows are a file that is read where they are needed, its graph is mapped
 * where the engine can. Only deaths are added to it. Memory is the page cache's, not the process's.
 */
export class SealedSegment implements Segment {
  readonly number: number;
  readonly deaths: Deaths;
  readonly oldest: number;
  readonly file: RowsFile;
  readonly graphFile: GraphFile;
  readonly graph: GraphIndex;
  readonly #config: SpaceConfig;
  readonly #row: Float32Array;

  constructor(
    number: number,
    config: SpaceConfig,
    file: RowsFile,
    graphFile: GraphFile,
    graph: GraphIndex,
    deaths: Deaths,
    oldest: number,
  ) {
    this.number = number;
    this.#config = config;
    this.file = file;
    this.graphFile = graphFile;
    this.graph = graph;
    this.deaths = deaths;
    this.oldest = oldest;
    this.#row = new Float32Array(config.dimension);
  }

  get rows(): number {
    return this.file.rows;
  }

  get graphedTo(): number {
    return this.rows;
  }

  get bytes(): number {
    return this.deaths.bytes + this.#row.byteLength + this.graph.bytes;
  }

  /** Bytes that the page cache holds for it when it is all in use. */
  get mappedBytes(): number {
    return this.graph.isMapped ? this.graphFile.bytes : 0;
  }

  stamp(row: number): number {
    const { records, at } = this.file.record(row);
    return records.stamp(at);
  }

  isId(row: number, text: Uint8Array, start: number, end: number): boolean {
    const { records, at, textStart } = this.file.record(row);
    const idEnd = records.idEnd(at);
    if (idEnd - textStart !== end - start) return false;
    return this.file.readText(textStart, idEnd).equals(text.subarray(start, end));
  }

  rank(row: number, { embedding, norm }: Query): number {
    this.file.readEmbeddings(row, 1, this.#row);
    return rank(this.#config.metric, this.#row, 0, embedding, norm, this.#config.dimension);
  }

  scan(): void {
    // All of its rows are in the graph.
  }

  read(row: number): StoredObservation {
    const { records, at, textStart } = this.file.record(row);
    const idBytes = records.idEnd(at) - textStart;
    const [stamp, timestamp, textEnd] = [
      records.stamp(at),
      records.timestamp(at),
      records.textEnd(at),
    ];
    const embedding = new Float32Array(this.#config.dimension);
    this.file.readEmbeddings(row, 1, embedding);
    const text = this.file.readText(textStart, textEnd);
    return observationOf(stamp, timestamp, embedding, text, idBytes);
  }

  forEachMetadata(
    from: number,
    to: number,
    visit: (row: number, text: string | undefined) => void,
  ): void {
    for (let first = from; first < to; first += METADATA_ROWS) {
      const count = Math.min(METADATA_ROWS, to - first);
      const { records, textStart } = this.file.readRecords(first, count);
      const text = this.file.readText(textStart, records.textEnd(count - 1));
      for (let i = 0; i < count; i++) {
        const start = records.idEnd(i) - textStart;
        const end = records.textEnd(i) - textStart;
        visit(first + i, start === end ? undefined : text.toString('utf8', start, end));
      }
    }
  }

  forEachId(
    from: number,
    to: number,
    visit: (row: number, id: string, stamp: number) => void,
  ): void {
    const count = to - from;
    if (count <= 0) return;
    const { records, textStart } = this.file.readRecords(from, count);
    const text = this.file.readText(textStart, records.textEnd(count - 1));
    let start = 0;
    for (let i = 0; i < count; i++) {
      const id = text.toString('utf8', start, records.idEnd(i) - textStart);
      start = records.textEnd(i) - textStart;
      visit(from + i, id, records.stamp(i));
    }
  }

  close(): void {
    this.graph.close();
    this.file.close();
  }
}
