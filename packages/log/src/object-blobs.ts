// Blobs in a JetStream Object Store.
//
//   B1. A blob is stored in pieces, so that no call takes long and each has a deadline: the library's own
//       would wait for ever for a chunk that is lost.
//   B2. What is removed leaves nothing behind: the library keeps a mark for each name that there ever was.
//   B3. A piece that lost some of its bytes is damaged, not late.

import { open, type FileHandle } from 'node:fs/promises';
import { ClusterError } from '@engram/model';
import { damagedBlob, type BlobStore } from '@engram/storage';
import type { ObjectInfo, ObjectStore } from 'nats';
import { Bucket } from './bucket.ts';
import type { LogConnection } from './connection.ts';
import { toLogError } from './errors.ts';
import { chunkSubject, getPiece, metaSubject, putPiece, streamOf } from './object-piece.ts';

const BUCKET = 'engram-checkpoints';
const STREAM = streamOf(BUCKET);
const PIECE_BYTES = 4 * 1024 * 1024;
/** A tenth of it is what a piece takes on a busy machine. */
const PIECE_TIMEOUT_MS = 20_000;
const LIST_TIMEOUT_MS = 60_000;

export class ObjectBlobs implements BlobStore {
  readonly #connection: LogConnection;
  readonly #store: Bucket<ObjectStore>;

  private constructor(connection: LogConnection, store: Bucket<ObjectStore>) {
    this.#connection = connection;
    this.#store = store;
  }

  /** @throws ClusterError LOG_UNAVAILABLE, LOG_FULL */
  static async start(connection: LogConnection, replicas: number): Promise<ObjectBlobs> {
    const { views } = connection.nc.jetstream();
    const opening = Bucket.start(() => views.os(BUCKET, { replicas }));
    return new ObjectBlobs(connection, await within(PIECE_TIMEOUT_MS, opening));
  }

  async save(name: string, path: string): Promise<void> {
    const file = await open(path, 'r');
    try {
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      for (let i = 0, at = 0; ; i++) {
        const bytes = await fill(piece, file, at);
        // An empty file has one piece too, or it could not be told from one that is not there.
        if (bytes === 0 && i > 0) return;
        await this.#savePiece(pieceOf(name, i), piece.subarray(0, bytes));
        at += bytes;
      }
    } finally {
      await file.close();
    }
  }

  async fetch(name: string, path: string): Promise<boolean> {
    const file = await open(path, 'w');
    try {
      for (let i = 0; ; i++) {
        const piece = await this.#fetchPiece(name, i);
        if (piece === null) return i > 0;
        await file.writeFile(piece);
      }
    } finally {
      await file.close();
    }
  }

  async remove(name: string): Promise<void> {
    let count = 0;
    while ((await this.#infoOf(pieceOf(name, count))) !== null) count++;
    // From the last: what a failure leaves can still be counted from the first.
    for (let i = count - 1; i >= 0; i--) await this.#removePiece(pieceOf(name, i));
  }

  async has(name: string): Promise<boolean> {
    const info = await this.#infoOf(pieceOf(name, 0));
    // Others than `remove` leave a mark where something was (B2).
    return info !== null && !info.deleted;
  }

  async names(): Promise<string[]> {
    const pieces = await this.#within(LIST_TIMEOUT_MS, (store) => store.list());
    return [...new Set(pieces.map(({ name }) => name.slice(0, name.lastIndexOf('/'))))];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #savePiece(piece: string, content: Uint8Array): Promise<void> {
    return this.#within(PIECE_TIMEOUT_MS, async (store) => {
      const before = await store.info(piece);
      await putPiece(this.#connection, BUCKET, piece, content, before);
    });
  }

  async #fetchPiece(name: string, index: number): Promise<Uint8Array | null> {
    const piece = pieceOf(name, index);
    const info = await this.#infoOf(piece);
    if (info === null || info.deleted) return null;
    const jsm = await this.#connection.nc.jetstreamManager({ checkAPI: false });
    const chunks = chunkSubject(BUCKET, info.nuid);
    const facts = jsm.streams.info(STREAM, { subjects_filter: chunks });
    const { state } = await within(PIECE_TIMEOUT_MS, facts);
    if ((state.subjects?.[chunks] ?? 0) !== info.chunks)
      throw damagedBlob(name, 'bytes of it are lost');
    const reading = getPiece(this.#connection, BUCKET, info, PIECE_TIMEOUT_MS);
    const content = await within(PIECE_TIMEOUT_MS, reading);
    if (content === undefined) throw damagedBlob(name, 'its bytes are not those that were stored');
    return content;
  }

  #infoOf(piece: string): Promise<ObjectInfo | null> {
    return this.#within(PIECE_TIMEOUT_MS, (store) => store.info(piece));
  }

  #within<T>(timeoutMs: number, run: (store: ObjectStore) => Promise<T>): Promise<T> {
    return within(timeoutMs, this.#store.use(run));
  }

  async #removePiece(piece: string): Promise<void> {
    await this.#within(PIECE_TIMEOUT_MS, (store) => store.delete(piece));
    const jsm = await this.#connection.nc.jetstreamManager({ checkAPI: false });
    const filter = metaSubject(BUCKET, piece);
    await within(PIECE_TIMEOUT_MS, jsm.streams.purge(STREAM, { filter })); // B2
  }
}

function pieceOf(name: string, index: number): string {
  return `${name}/${index}`;
}

async function fill(piece: Buffer, file: FileHandle, from: number): Promise<number> {
  let bytes = 0;
  while (bytes < piece.length) {
    const { bytesRead } = await file.read(piece, bytes, piece.length - bytes, from + bytes);
    if (bytesRead === 0) break;
    bytes += bytesRead;
  }
  return bytes;
}

async function within<T>(timeoutMs: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new ClusterError('LOG_UNAVAILABLE', 'the store of checkpoints does not answer'));
    }, timeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } catch (error) {
    throw toLogError(error);
  } finally {
    clearTimeout(timer);
  }
}
