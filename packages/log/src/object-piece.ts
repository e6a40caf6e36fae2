// Objects of a JetStream Object Store as NATS describes them (ADR-20), for bytes that are in memory. The
// library reads and writes the same, but hashes in JavaScript: 40 MB a second where the system's own
// SHA-256 does more than a thousand.
//
//   O1. The chunks of an object bear its name, so that those of a write that was cut off are found by it.
//   O2. A description that cannot be read is damaged, not late: what it describes is lost.

import { createHash, type Hash } from 'node:crypto';
import { headers, nuid, type JetStreamManager } from 'nats';
import type { LogConnection } from './connection.ts';
import { isMessageNotFound } from './errors.ts';

/** As the library cuts them: well below the 1 MiB that a server takes by default. */
const CHUNK_BYTES = 128 * 1024;
const DIGEST = 'SHA-256=';

/** One object: a piece of a blob. */
export interface Piece {
  readonly bucket: string;
  readonly blob: string;
  readonly index: number;
}

/** What its description tells of it. */
export interface PieceInfo {
  /** Under which its chunks are. */
  readonly nuid: string;
  readonly chunks: number;
  readonly size: number;
  readonly digest: string;
  readonly deleted: boolean;
}

export function streamOf(bucket: string): string {
  return `OBJ_${bucket}`;
}

/** Where the description of a piece is. */
export function metaSubject({ bucket, blob, index }: Piece): string {
  return `$O.${bucket}.M.${urlBase64(Buffer.from(`${blob}/${index}`))}`;
}

/** Where its bytes are. */
export function chunkSubject(bucket: string, id: string): string {
  return `$O.${bucket}.C.${id}`;
}

/** Where the chunks of all pieces of a blob are, also of those that were never described (O1). */
export function chunksOfBlob(bucket: string, blob: string): string {
  return chunkSubject(bucket, `${urlBase64(Buffer.from(blob))}.>`);
}

/** The blob that a message of the bucket belongs to; undefined where its subject does not say it. */
export function blobOf(bucket: string, subject: string): string | undefined {
  const [kind, first = '', ...more] = subject.slice(`$O.${bucket}.`.length).split('.');
  const name = Buffer.from(first, 'base64url').toString();
  if (kind === 'M') return name.slice(0, name.lastIndexOf('/'));
  return kind === 'C' && more.length > 0 ? name : undefined;
}

/** How many messages each subject of a bucket has. */
export async function messagesOf(
  jsm: JetStreamManager,
  bucket: string,
  filter: string,
): Promise<Readonly<Record<string, number>>> {
  const { state } = await jsm.streams.info(streamOf(bucket), { subjects_filter: filter });
  return state.subjects ?? {};
}

/**
 * @returns undefined where there is none, and 'damaged' for what no client writes (O2)
 * @throws NatsError
 */
export async function pieceInfo(
  { nc }: LogConnection,
  piece: Piece,
): Promise<PieceInfo | 'damaged' | undefined> {
  const jsm = await nc.jetstreamManager({ checkAPI: false });
  const query = { last_by_subj: metaSubject(piece) };
  try {
    return readInfo((await jsm.streams.getMessage(streamOf(piece.bucket), query)).string());
  } catch (error) {
    if (isMessageNotFound(error)) return undefined;
    throw error;
  }
}

function readInfo(text: string): PieceInfo | 'damaged' {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'damaged';
  }
  if (typeof value !== 'object' || value === null) return 'damaged';
  const given = value as Readonly<Record<string, unknown>>;
  const { nuid: id, chunks, size, digest, deleted = false } = given;
  // A subject is made of it.
  const isId = typeof id === 'string' && /^[\w=-]+(\.[\w=-]+)*$/.test(id);
  const isCounted = [chunks, size].every((each) => Number.isSafeInteger(each) && Number(each) >= 0);
  if (!isId || !isCounted || typeof digest !== 'string' || typeof deleted !== 'boolean')
    return 'damaged';
  return { nuid: id, chunks: Number(chunks), size: Number(size), digest, deleted };
}

/**
 * Stores a piece; the chunks of one of this name before are removed.
 * @throws NatsError, and nothing of it is seen then
 */
export async function putPiece(
  { nc }: LogConnection,
  piece: Piece,
  content: Uint8Array,
): Promise<void> {
  const { bucket, blob, index } = piece;
  const js = nc.jetstream();
  const jsm = await nc.jetstreamManager({ checkAPI: false });
  const parent = `${urlBase64(Buffer.from(blob))}.${index}`;
  const id = `${parent}.${nuid.next()}`;
  const hash = createHash('sha256');
  const stored: Promise<unknown>[] = [];
  for (let at = 0; at < content.length; at += CHUNK_BYTES) {
    const chunk = content.subarray(at, at + CHUNK_BYTES);
    hash.update(chunk);
    stored.push(js.publish(chunkSubject(bucket, id), chunk));
  }
  const purge = (filter: string) => jsm.streams.purge(streamOf(bucket), { filter });
  const failed = (await Promise.allSettled(stored)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') {
    // What is left of it has no description: it only takes room.
    await purge(chunkSubject(bucket, id)).catch(() => undefined);
    throw failed.reason;
  }
  const info = {
    name: `${blob}/${index}`,
    bucket,
    nuid: id,
    size: content.length,
    chunks: stored.length,
    mtime: new Date().toISOString(),
    digest: digestOf(hash),
    deleted: false,
    options: { max_chunk_size: CHUNK_BYTES },
  };
  const head = headers();
  head.set('Nats-Rollup', 'sub'); // only the last description is kept
  await js.publish(metaSubject(piece), JSON.stringify(info), { headers: head });
  const chunks = await messagesOf(jsm, bucket, chunkSubject(bucket, `${parent}.*`));
  for (const subject of Object.keys(chunks))
    if (subject !== chunkSubject(bucket, id)) await purge(subject).catch(() => undefined);
}

/**
 * The bytes of a piece; undefined where they are not those that its description tells of.
 * @param timeoutMs for all of its chunks, which must be in the stream
 */
export async function getPiece(
  { nc }: LogConnection,
  bucket: string,
  { nuid: id, chunks, size, digest }: PieceInfo,
  timeoutMs: number,
): Promise<Uint8Array | undefined> {
  const received: Uint8Array[] = [];
  if (chunks > 0) {
    // No list of one: for a list nats-server 2.10 reads every block of the stream, and the one that the
    // chunks are in again for each of them (nats-server#7750, #7856).
    const consumer = await nc
      .jetstream()
      .consumers.get(streamOf(bucket), { filterSubjects: chunkSubject(bucket, id) });
    try {
      const messages = await consumer.fetch({ max_messages: chunks, expires: timeoutMs });
      for await (const { data } of messages) received.push(data);
    } finally {
      // The server would keep it for minutes, one for each piece.
      await consumer.delete().catch(() => undefined);
    }
  }
  // Not by what the description says of its size, which may be damaged too.
  const content = Buffer.concat(received);
  const hash = createHash('sha256').update(content);
  return content.length === size && digestOf(hash) === digest ? content : undefined;
}

function digestOf(hash: Hash): string {
  return `${DIGEST}${urlBase64(hash.digest())}`;
}

/** The base64 of URLs, with its padding, which Node leaves out. */
function urlBase64(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}
