// Builds a sealed segment from files of rows: a graph over the rows of one (work taken over from a
// worker that cannot keep up), or one segment from the living rows of several (a merge). It needs
// nothing of the space but its files, so any thread can do it, in slices.

import { renameSync, rmSync } from 'node:fs';
import {
  GRAPH_ENGINES,
  type Encoding,
  type GraphIndex,
  type GraphOptions,
} from '@engram/vector-index';
import type { SpaceId } from '@engram/model';
import { rowsAStep } from './graph-step.ts';
import type { Pace } from './pace.ts';
import { RowRecords } from './row-records.ts';
import { sampledEncoding } from './sampled-encoding.ts';
import { checksumOf, damaged, RowsFile, writeRowsFile } from './rows-file.ts';

/** Floats read at once, 1 MiB. */
const CHUNK_FLOATS = 262_144;
const RECORDS_AT_ONCE = 4_096;
const TEXT_BYTES_AT_ONCE = 1024 * 1024;

export interface BuildInput {
  readonly path: string;
  readonly rows: number;
  /** The file's mark: another one in its place is not taken for it. */
  readonly checksum: number;
  /** A bit for each row that is to be in the result; all of them where there is none. */
  readonly kept?: Uint8Array;
}

export interface BuildJob {
  readonly id: number;
  readonly space: SpaceId;
  readonly options: GraphOptions;
  readonly inputs: readonly BuildInput[];
  /** Where the rows that are kept go; without it the one input keeps its file. */
  readonly rowsPath?: string;
  readonly graphPath: string;
}

export interface BuildResult {
  readonly id: number;
  readonly space: SpaceId;
  readonly rows: number;
  readonly graph: { readonly bytes: number; readonly crc: number; readonly encoding: Encoding };
}

const underConstruction = new Set<GraphIndex>();

/** What the graphs take that this thread builds for segments. */
export function buildBytes(): number {
  let bytes = 0;
  for (const graph of underConstruction) bytes += graph.bytes;
  return bytes;
}

/**
 * Checks every byte that it reads: what was damaged must not get a new checksum.
 * @throws ClusterError SEGMENT_DAMAGED when an input is; what it wrote is removed
 */
export async function buildSegment(job: BuildJob, pace: Pace): Promise<BuildResult> {
  const { dimension } = job.options;
  const inputs = job.inputs.map(({ path }) => RowsFile.open(path, dimension));
  const beside = `${job.graphPath}.tmp`;
  let graph: GraphIndex | undefined;
  try {
    const paced = async () => {
      if (pace.isDue()) await pace.turn();
    };
    for (const [i, file] of inputs.entries()) {
      if (file.checksum !== job.inputs[i]!.checksum)
        throw damaged(file.path, new Error('it is another file'));
      await file.verify(paced);
    }
    const rows = job.inputs.reduce((sum, input) => sum + keptCount(input), 0);
    const encoding = encodingOfAll(job, inputs);
    graph = GRAPH_ENGINES[job.options.engine].create(job.options, encoding, rows);
    underConstruction.add(graph);
    let row = 0;
    for (const { chunk, count } of chunksOf(job, inputs)) {
      const step = rowsAStep(dimension);
      for (let at = 0; at < count; at += step) {
        const some = Math.min(step, count - at);
        graph.add(row, chunk.subarray(at * dimension, (at + some) * dimension), some);
        row += some;
        await paced();
      }
    }
    if (job.rowsPath !== undefined) await mergeRows(job.rowsPath, job, inputs, rows);
    graph.save(beside);
    const { bytes, crc } = await checksumOf(beside, paced);
    renameSync(beside, job.graphPath);
    return { id: job.id, space: job.space, rows, graph: { bytes, crc, encoding } };
  } catch (error) {
    for (const path of [beside, job.graphPath, job.rowsPath])
      if (path !== undefined) rmSync(path, { force: true });
    throw error;
  } finally {
    if (graph !== undefined) {
      underConstruction.delete(graph);
      graph.close();
    }
    for (const input of inputs) input.close();
  }
}

function isKept({ kept }: BuildInput, row: number): boolean {
  return kept === undefined || (kept[row >> 3]! & (1 << (row & 7))) !== 0;
}

export function keptCount(input: BuildInput): number {
  if (input.kept === undefined) return input.rows;
  let count = 0;
  for (let row = 0; row < input.rows; row++) if (isKept(input, row)) count++;
  return count;
}

/** Where each row of an input is in the result; what is not kept points to the row after. */
export function newRows(input: BuildInput, first: number): Uint32Array {
  const target = new Uint32Array(input.rows);
  let next = first;
  for (let row = 0; row < input.rows; row++) {
    target[row] = next;
    if (isKept(input, row)) next++;
  }
  return target;
}

/** Of rows of all inputs. */
function encodingOfAll({ options }: BuildJob, files: readonly RowsFile[]): Encoding {
  const all = files.reduce((sum, { rows }) => sum + rows, 0);
  let file = 0;
  let first = 0;
  return sampledEncoding(all, options, (row, into) => {
    while (row >= first + files[file]!.rows) first += files[file++]!.rows;
    files[file]!.readEmbeddings(row - first, 1, into);
  });
}

/** The kept embeddings in order, chunk by chunk; a chunk is valid until the next. */
function* chunksOf(
  { options, inputs }: BuildJob,
  files: readonly RowsFile[],
): Generator<{ chunk: Float32Array; count: number }> {
  const { dimension } = options;
  const rowsMax = Math.max(1, Math.floor(CHUNK_FLOATS / dimension));
  const chunk = new Float32Array(rowsMax * dimension);
  for (const [i, input] of inputs.entries())
    for (let from = 0; from < input.rows; from += rowsMax) {
      const read = Math.min(rowsMax, input.rows - from);
      files[i]!.readEmbeddings(from, read, chunk);
      let count = 0;
      for (let row = 0; row < read; row++) {
        if (!isKept(input, from + row)) continue;
        if (count < row)
          chunk.copyWithin(count * dimension, row * dimension, (row + 1) * dimension);
        count++;
      }
      if (count > 0) yield { chunk, count };
    }
}

function mergeRows(
  path: string,
  job: BuildJob,
  files: readonly RowsFile[],
  rows: number,
): Promise<number> {
  const { dimension } = job.options;
  const merged = RowRecords.ofCapacity(rows);
  let row = 0;
  let textBytes = 0;
  for (const { records, at, textStart } of recordsOf(job, files)) {
    const idBytes = records.idEnd(at) - textStart;
    const bytes = records.textEnd(at) - textStart;
    merged.set(
      row++,
      records.stamp(at),
      records.timestamp(at),
      records.hashHigh(at),
      records.hashLow(at),
      textBytes + idBytes,
      textBytes + bytes,
    );
    textBytes += bytes;
  }
  return writeRowsFile(path, {
    dimension,
    rows,
    textBytes,
    embeddings: bytesOf(chunksOf(job, files), dimension),
    records: [merged.bytes],
    text: textOf(job, files),
  });
}

/** The records of the kept rows in order, each with where its text begins. */
function* recordsOf(
  { inputs }: BuildJob,
  files: readonly RowsFile[],
): Generator<{ file: RowsFile; records: RowRecords; at: number; textStart: number }> {
  for (const [i, input] of inputs.entries())
    for (let from = 0; from < input.rows; from += RECORDS_AT_ONCE) {
      const file = files[i]!;
      const count = Math.min(RECORDS_AT_ONCE, input.rows - from);
      const { records, textStart } = file.readRecords(from, count);
      for (let at = 0; at < count; at++)
        if (isKept(input, from + at))
          yield { file, records, at, textStart: at === 0 ? textStart : records.textEnd(at - 1) };
    }
}

/** The text of the kept rows; neighbours in a file are read together. */
function* textOf(job: BuildJob, files: readonly RowsFile[]): Generator<Uint8Array> {
  let run: { file: RowsFile; start: number; end: number } | undefined;
  for (const { file, records, at, textStart } of recordsOf(job, files)) {
    const end = records.textEnd(at);
    if (run?.file === file && run.end === textStart && end - run.start <= TEXT_BYTES_AT_ONCE) {
      run.end = end;
      continue;
    }
    if (run !== undefined) yield run.file.readText(run.start, run.end);
    run = { file, start: textStart, end };
  }
  if (run !== undefined) yield run.file.readText(run.start, run.end);
}

function* bytesOf(
  chunks: Iterable<{ chunk: Float32Array; count: number }>,
  dimension: number,
): Generator<Uint8Array> {
  for (const { chunk, count } of chunks)
    yield new Uint8Array(chunk.buffer, 0, count * dimension * 4);
}
