// A checkpoint of a partition in one file: what was applied up to a place in the log. What is large is
// named in it and stored beside it.
//
//   first line   "ENGRAM-CHECKPOINT 1 <bytes of the head> <CRC-32 of the head>"
//   head         JSON: CheckpointHead
//   then         the section of each space (space-section.ts), at its offset from the end of the head

import { open, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { ClusterError, type PartitionId, type SpaceId } from '@engram/model';
import type { BlobMark } from './checksum.ts';
import { writeWhole } from './whole-file.ts';

const MAGIC = 'ENGRAM-CHECKPOINT';
const VERSION = 1;
const LINE_BYTES_MAX = 64;
const CHUNK_BYTES = 1024 * 1024;

export interface SectionEntry {
  readonly space: SpaceId;
  /** The space's life: one that was deleted and made again has another. */
  readonly afterSequence: number;
  readonly at: number;
  readonly bytes: number;
}

export interface CheckpointHead {
  readonly partition: PartitionId;
  /** Of the owner that wrote it. */
  readonly epoch: number;
  /** Everything up to this sequence is in it. */
  readonly watermark: number;
  readonly writtenAtMs: number;
  /** The end of the log at that time: one without it is another log. */
  readonly logEnd?: { readonly sequence: number; readonly storedAtMs?: number };
  readonly spaces: readonly SectionEntry[];
  /** What its sections name, by name. */
  readonly blobs: Readonly<Record<string, BlobMark>>;
}

/** A section that lies in a file of its own. */
export interface WrittenSection {
  readonly space: SpaceId;
  readonly afterSequence: number;
  readonly path: string;
  readonly bytes: number;
  /** Names of its large files. */
  readonly blobs: readonly string[];
}

/** Writes a checkpoint; complete under its name or not there. */
export async function writeCheckpoint(
  path: string,
  head: Omit<CheckpointHead, 'spaces'>,
  sections: readonly WrittenSection[],
): Promise<void> {
  await writeWhole(path, async (file) => {
    let at = 0;
    const spaces = sections.map(({ space, afterSequence, bytes }): SectionEntry => {
      const entry = { space, afterSequence, at, bytes };
      at += bytes;
      return entry;
    });
    const json = Buffer.from(JSON.stringify({ ...head, spaces }), 'utf8');
    await file.writeFile(`${MAGIC} ${VERSION} ${json.length} ${crc32(json)}\n`);
    await file.writeFile(json);
    for (const section of sections) await append(file, section);
  });
}

async function append(file: FileHandle, { path, bytes }: WrittenSection): Promise<void> {
  const source = await open(path, 'r');
  try {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(1, bytes)));
    for (let done = 0; done < bytes;) {
      const { bytesRead } = await source.read(chunk, 0, Math.min(chunk.length, bytes - done), done);
      if (bytesRead === 0) throw new Error(`${path} is shorter than it was`);
      await file.writeFile(chunk.subarray(0, bytesRead));
      done += bytesRead;
    }
  } finally {
    await source.close();
  }
}

/** An open checkpoint, whose sections are read one by one. */
export class CheckpointFile implements AsyncDisposable {
  readonly head: CheckpointHead;
  readonly #file: FileHandle;
  readonly #sectionsAt: number;

  private constructor(head: CheckpointHead, file: FileHandle, sectionsAt: number) {
    this.head = head;
    this.#file = file;
    this.#sectionsAt = sectionsAt;
  }

  /** @throws ClusterError CHECKPOINT_DAMAGED */
  static async open(path: string): Promise<CheckpointFile> {
    const file = await open(path, 'r');
    try {
      const start = Buffer.alloc(LINE_BYTES_MAX);
      const { bytesRead } = await file.read(start, 0, LINE_BYTES_MAX, 0);
      const line = start.toString('latin1', 0, bytesRead).split('\n', 1)[0]!;
      const [magic, version, length, crc] = line.split(' ');
      if (magic !== MAGIC) throw new Error('it is no checkpoint');
      if (version !== String(VERSION)) throw new Error('its version is not known');
      const json = Buffer.alloc(Number(length));
      await readFully(file, json, line.length + 1);
      if (crc32(json) !== Number(crc)) throw new Error('its head has another checksum');
      const head = JSON.parse(json.toString('utf8')) as CheckpointHead;
      return new CheckpointFile(head, file, line.length + 1 + json.length);
    } catch (cause) {
      await file.close();
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ClusterError('CHECKPOINT_DAMAGED', `the checkpoint ${path} is damaged: ${reason}`, {
        cause,
      });
    }
  }

  /** Its length, if it is whole. */
  get bytes(): number {
    const { spaces } = this.head;
    return spaces.reduce(
      (end, { at, bytes }) => Math.max(end, this.#sectionsAt + at + bytes),
      this.#sectionsAt,
    );
  }

  async section({ at, bytes }: SectionEntry): Promise<Buffer> {
    const section = Buffer.alloc(bytes);
    await readFully(this.#file, section, this.#sectionsAt + at);
    return section;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function readFully(file: FileHandle, into: Buffer, from: number): Promise<void> {
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await file.read(into, done, into.length - done, from + done);
    if (bytesRead === 0) throw new Error('it ends too early');
    done += bytesRead;
  }
}
