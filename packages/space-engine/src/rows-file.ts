// The file of a segment's rows. All numbers are little-endian, columns start at multiples of 8.
//
//   offset 0, 64 bytes   "ENGS", u32 version, u32 dimension, u32 rows, f64 bytes of text,
//                        u32 CRC-32 of the embeddings, of the records, of the text, of the header
//                        (computed with 0 in its own place), the rest 0
//   then                 f32 × rows × dimension   embeddings, padded to 8 bytes
//   then                 32 bytes × rows          records (row-records.ts)
//   then                 text                     each row's id and metadata, UTF-8
//
//   R1. A file is complete under its name or not there: it is written beside it and renamed.
//   R2. A file whose length, version or checksums are not right is refused as a whole.

import { open } from 'node:fs/promises';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { ClusterError } from '@engram/model';
import { writeFully, writeWhole } from '@engram/storage';
import { RECORD_BYTES, RowRecords } from './row-records.ts';

const MAGIC = 0x53_47_4e_45; // "ENGS" as a little-endian u32
const VERSION = 1;
const HEADER_BYTES = 64;
const HEADER_CRC_AT = 36;
/** Read and written at once; 0.3 ms of CRC-32. */
const CHUNK_BYTES = 1024 * 1024;

interface Shape {
  readonly dimension: number;
  readonly rows: number;
  readonly textBytes: number;
}

function layoutOf({ dimension, rows, textBytes }: Shape) {
  const records = HEADER_BYTES + Math.ceil((rows * dimension * 4) / 8) * 8;
  const text = records + rows * RECORD_BYTES;
  return { embeddings: HEADER_BYTES, records, text, end: text + textBytes };
}

/** The columns of a file, each in pieces that follow each other. */
export interface RowColumns extends Shape {
  readonly embeddings: Iterable<Uint8Array>;
  readonly records: Iterable<Uint8Array>;
  readonly text: Iterable<Uint8Array>;
}

/** Writes a file (R1). Between two pieces other work has its turn. @returns its header's CRC-32 */
export async function writeRowsFile(path: string, columns: RowColumns): Promise<number> {
  const layout = layoutOf(columns);
  return writeWhole(path, async (file) => {
    const checksums: number[] = [];
    for (const [pieces, at] of [
      [columns.embeddings, layout.embeddings],
      [columns.records, layout.records],
      [columns.text, layout.text],
    ] as const) {
      let ofColumn = 0;
      let offset = at;
      for (const piece of pieces)
        for (let start = 0; start < piece.length; start += CHUNK_BYTES) {
          const chunk = piece.subarray(start, start + CHUNK_BYTES);
          ofColumn = crc32(chunk, ofColumn);
          await writeFully(file, chunk, offset);
          offset += chunk.length;
        }
      checksums.push(ofColumn);
    }
    const header = headerOf(columns, checksums);
    await writeFully(file, header, 0);
    await file.truncate(layout.end);
    return header.readUInt32LE(HEADER_CRC_AT);
  });
}

function headerOf({ dimension, rows, textBytes }: Shape, checksums: readonly number[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(VERSION, 4);
  header.writeUInt32LE(dimension, 8);
  header.writeUInt32LE(rows, 12);
  header.writeDoubleLE(textBytes, 16);
  checksums.forEach((checksum, column) => header.writeUInt32LE(checksum, 24 + column * 4));
  header.writeUInt32LE(crc32(header), HEADER_CRC_AT);
  return header;
}

/** An open file of rows, read at any row; reads are synchronous and hit the page cache. */
export class RowsFile {
  readonly path: string;
  readonly dimension: number;
  readonly rows: number;
  readonly textBytes: number;
  /** CRC-32 of the header, and so of all that it has checksums of: the file's own mark. */
  readonly checksum: number;
  readonly #fd: number;
  readonly #layout: ReturnType<typeof layoutOf>;
  readonly #checksums: readonly number[];
  readonly #pair = RowRecords.ofCapacity(2);
  #isClosed = false;

  private constructor(path: string, fd: number, header: Buffer, checksum: number) {
    this.path = path;
    this.checksum = checksum;
    this.#fd = fd;
    this.dimension = header.readUInt32LE(8);
    this.rows = header.readUInt32LE(12);
    this.textBytes = header.readDoubleLE(16);
    this.#checksums = [0, 1, 2].map((column) => header.readUInt32LE(24 + column * 4));
    this.#layout = layoutOf(this);
  }

  /** @throws ClusterError SEGMENT_DAMAGED when it is not there, or its header is not right (R2) */
  static open(path: string, dimension: number): RowsFile {
    let fd: number | undefined;
    try {
      fd = openSync(path, 'r');
      const header = Buffer.alloc(HEADER_BYTES);
      readFully(fd, header, 0, HEADER_BYTES, 0);
      if (header.readUInt32LE(0) !== MAGIC) throw new Error('it is no file of rows');
      if (header.readUInt32LE(4) !== VERSION)
        throw new Error(`its version ${header.readUInt32LE(4)} is not known`);
      const expected = header.readUInt32LE(HEADER_CRC_AT);
      header.writeUInt32LE(0, HEADER_CRC_AT);
      if (crc32(header) !== expected) throw new Error('its header has another checksum');
      const file = new RowsFile(path, fd, header, expected);
      if (file.dimension !== dimension) throw new Error(`its dimension is ${file.dimension}`);
      if (fstatSync(fd).size !== file.#layout.end) throw new Error('it has another length');
      return file;
    } catch (error) {
      if (fd !== undefined) closeSync(fd);
      throw damaged(path, error);
    }
  }

  get bytes(): number {
    return this.#layout.end;
  }

  /** Reads every byte once. @throws ClusterError SEGMENT_DAMAGED (R2) */
  async verify(turn: () => Promise<void>): Promise<void> {
    const { embeddings, records, text, end } = this.#layout;
    const bytes = this.rows * this.dimension * 4;
    const columns = [
      [embeddings, embeddings + bytes],
      [records, text],
      [text, end],
    ] as const;
    const chunk = new Uint8Array(CHUNK_BYTES);
    for (const [column, [from, to]] of columns.entries()) {
      let checksum = 0;
      for (let at = from; at < to; at += CHUNK_BYTES) {
        const length = Math.min(CHUNK_BYTES, to - at);
        this.#read(chunk, length, at);
        checksum = crc32(chunk.subarray(0, length), checksum);
        await turn();
      }
      if (checksum !== this.#checksums[column])
        throw damaged(this.path, new Error(`column ${column} has another checksum`));
    }
  }

  /** Reads `count` embeddings into the beginning of `into`. */
  readEmbeddings(row: number, count: number, into: Float32Array): void {
    const stride = this.dimension * 4;
    const bytes = new Uint8Array(into.buffer, into.byteOffset, count * stride);
    this.#read(bytes, bytes.length, this.#layout.embeddings + row * stride);
  }

  /** Records of `count` rows, and where the text of the first begins. */
  readRecords(row: number, count: number): { records: RowRecords; textStart: number } {
    const skip = row === 0 ? 0 : 1;
    const records = RowRecords.ofCapacity(count + skip);
    this.#read(records.bytes, records.bytes.length, this.#recordAt(row - skip));
    const textStart = skip === 0 ? 0 : records.textEnd(0);
    return skip === 0
      ? { records, textStart }
      : { records: new RowRecords(records.bytes.slice(RECORD_BYTES).buffer), textStart };
  }

  /** The record of one row, valid until the next call, and where its text begins. */
  record(row: number): { readonly records: RowRecords; readonly at: number; textStart: number } {
    const records = this.#pair;
    const at = row === 0 ? 0 : 1;
    this.#read(records.bytes, (at + 1) * RECORD_BYTES, this.#recordAt(row - at));
    return { records, at, textStart: at === 0 ? 0 : records.textEnd(0) };
  }

  readText(start: number, end: number): Buffer {
    const bytes = Buffer.allocUnsafe(end - start);
    this.#read(bytes, bytes.length, this.#layout.text + start);
    return bytes;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#fd);
  }

  #recordAt(row: number): number {
    return this.#layout.records + row * RECORD_BYTES;
  }

  #read(into: Uint8Array, length: number, at: number): void {
    try {
      readFully(this.#fd, into, 0, length, at);
    } catch (error) {
      throw damaged(this.path, error);
    }
  }
}

function readFully(fd: number, into: Uint8Array, at: number, length: number, from: number): void {
  let done = 0;
  while (done < length) {
    const read = readSync(fd, into, at + done, length - done, from + done);
    if (read === 0) throw new Error('it ends too early');
    done += read;
  }
}

/** CRC-32 and length of a whole file, chunk by chunk. */
export async function checksumOf(
  path: string,
  turn: () => Promise<void>,
): Promise<{ readonly bytes: number; readonly crc: number }> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw damaged(path, error);
  });
  try {
    const chunk = new Uint8Array(CHUNK_BYTES);
    let bytes = 0;
    let crc = 0;
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, bytes);
      if (bytesRead === 0) return { bytes, crc };
      crc = crc32(chunk.subarray(0, bytesRead), crc);
      bytes += bytesRead;
      await turn();
    }
  } catch (error) {
    throw damaged(path, error);
  } finally {
    await file.close();
  }
}

export function damaged(path: string, cause: unknown): ClusterError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ClusterError('SEGMENT_DAMAGED', `the segment file ${path} is damaged: ${reason}`, {
    cause,
  });
}
