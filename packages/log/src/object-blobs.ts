// Blobs in a JetStream Object Store.
//
//   B1. A blob is stored in pieces, so that no call takes long and each has a deadline: the library's own
//       would wait for ever for a chunk that is lost.
//   B2. What is removed leaves nothing behind: the library keeps a mark for each name that there ever was.
//   B3. A piece that lost some of its bytes is damaged, not late.

import { open, type FileHandle } from 'node:fs/promises';
import { ClusterError } from '@engram/model';
import { damagedBlob, type BlobStore } from '@engram/storage';
import type { JetStreamManager } from 'nats';
import { Bucket } from './bucket.ts';
import type { LogConnection } from './connection.ts';
import { toLogError } from './errors.ts';
import {
  blobOf,
  chunksOfBlob,
  chunkSubject,
  getPiece,
  messagesOf,
  metaSubject,
  pieceInfo,
  putPiece,
  streamOf,
  type PieceInfo,
} from './object-piece.ts';

const BUCKET = 'engram-checkpoints';
const STREAM = streamOf(BUCKET);
const PIECE_BYTES = 4 * 1024 * 1024;
/** A tenth of it is what a piece takes on a busy machine. */
const PIECE_TIMEOUT_MS = 20_000;
const LIST_TIMEOUT_MS = 60_000;

export class ObjectBlobs implements BlobStore {
  readonly #connection: LogConnection;
  readonly #store: Bucket<unknown>;

  private constructor(connection: LogConnection, store: Bucket<unknown>) {
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
        await this.#savePiece(name, i, piece.subarray(0, bytes));
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
        if (piece === undefined) return i > 0;
        await file.writeFile(piece);
      }
    } finally {
      await file.close();
    }
  }

  async remove(name: string): Promise<void> {
    let count = 0;
    while ((await this.#infoOf(name, count)) !== undefined) count++;
    // From the last: what a failure leaves can still be counted from the first.
    for (let index = count - 1; index >= 0; index--) await this.#removePiece(name, index);
    await this.#purge(chunksOfBlob(BUCKET, name));
  }

  async has(name: string): Promise<boolean> {
    const info = await this.#infoOf(name, 0);
    // Others than `remove` leave a mark where something was (B2).
    return info !== undefined && info !== 'damaged' && !info.deleted;
  }

  async names(): Promise<string[]> {
    const subjects = await this.#use(LIST_TIMEOUT_MS, (jsm) =>
      messagesOf(jsm, BUCKET, `$O.${BUCKET}.>`),
    );
    const names = Object.keys(subjects).map((subject) => blobOf(BUCKET, subject));
    return [...new Set(names.filter((name) => name !== undefined))];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #savePiece(blob: string, index: number, content: Uint8Array): Promise<void> {
    const piece = { bucket: BUCKET, blob, index };
    return this.#use(PIECE_TIMEOUT_MS, () => putPiece(this.#connection, piece, content));
  }

  async #fetchPiece(blob: string, index: number): Promise<Uint8Array | undefined> {
    const info = await this.#infoOf(blob, index);
    if (info === 'damaged') throw damagedBlob(blob, 'it is described by what is no description');
    if (info === undefined || info.deleted) return undefined;
    const chunks = chunkSubject(BUCKET, info.nuid);
    const subjects = await this.#use(PIECE_TIMEOUT_MS, (jsm) => messagesOf(jsm, BUCKET, chunks));
    if ((subjects[chunks] ?? 0) !== info.chunks) throw damagedBlob(blob, 'bytes of it are lost');
    const content = await this.#use(PIECE_TIMEOUT_MS, () =>
      getPiece(this.#connection, BUCKET, info, PIECE_TIMEOUT_MS),
    );
    if (content === undefined) throw damagedBlob(blob, 'its bytes are not those that were stored');
    return content;
  }

  #infoOf(blob: string, index: number): Promise<PieceInfo | 'damaged' | undefined> {
    const piece = { bucket: BUCKET, blob, index };
    return this.#use(PIECE_TIMEOUT_MS, () => pieceInfo(this.#connection, piece));
  }

  /** Its description last (B2): until that is gone, the rest can be found. */
  async #removePiece(blob: string, index: number): Promise<void> {
    const info = await this.#infoOf(blob, index);
    if (info !== undefined && info !== 'damaged')
      await this.#purge(chunkSubject(BUCKET, info.nuid));
    await this.#purge(metaSubject({ bucket: BUCKET, blob, index }));
  }

  async #purge(filter: string): Promise<void> {
    await this.#use(PIECE_TIMEOUT_MS, (jsm) => jsm.streams.purge(STREAM, { filter }));
  }

  #use<T>(timeoutMs: number, run: (jsm: JetStreamManager) => Promise<T>): Promise<T> {
    const { nc } = this.#connection;
    const using = this.#store.use(async () => run(await nc.jetstreamManager({ checkAPI: false })));
    return within(timeoutMs, using);
  }
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
