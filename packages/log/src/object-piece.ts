// Objects of a JetStream Object Store as NATS describes them (ADR-20), for bytes that are in memory. The
// library reads and writes the same, but hashes in JavaScript: 40 MB a second where the system's own
// SHA-256 does more than a thousand.

import { createHash, type Hash } from 'node:crypto';
import { headers, nuid, type ObjectInfo } from 'nats';
import type { LogConnection } from './connection.ts';

/** As the library cuts them: well below the 1 MiB that a server takes by default. */
const CHUNK_BYTES = 128 * 1024;
const DIGEST = 'SHA-256=';

export function streamOf(bucket: string): string {
  return `OBJ_${bucket}`;
}

/** Where the description of an object is. */
export function metaSubject(bucket: string, name: string): string {
  return `$O.${bucket}.M.${urlBase64(Buffer.from(name))}`;
}

/** Where its bytes are. */
export function chunkSubject(bucket: string, id: string): string {
  return `$O.${bucket}.C.${id}`;
}

/**
 * Stores an object; the chunks of one of this name before are removed.
 * @throws NatsError, and nothing of it is seen then
 */
export async function putPiece(
  { nc }: LogConnection,
  bucket: string,
  name: string,
  content: Uint8Array,
  before: ObjectInfo | null,
): Promise<void> {
  const js = nc.jetstream();
  const jsm = await nc.jetstreamManager({ checkAPI: false });
  const id = nuid.next();
  const hash = createHash('sha256');
  const stored: Promise<unknown>[] = [];
  for (let at = 0; at < content.length; at += CHUNK_BYTES) {
    const chunk = content.subarray(at, at + CHUNK_BYTES);
    hash.update(chunk);
    stored.push(js.publish(chunkSubject(bucket, id), chunk));
  }
  const purge = (unwanted: string) =>
    jsm.streams.purge(streamOf(bucket), { filter: chunkSubject(bucket, unwanted) });
  const failed = (await Promise.allSettled(stored)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') {
    // What is left of it has no description: it only takes room.
    await purge(id).catch(() => undefined);
    throw failed.reason;
  }
  const info = {
    name,
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
  await js.publish(metaSubject(bucket, name), JSON.stringify(info), { headers: head });
  if (before !== null && before.nuid !== '') await purge(before.nuid).catch(() => undefined);
}

/**
 * The bytes of an object; undefined where they are not those that its description tells of.
 * @param timeoutMs for all of its chunks, which must be in the stream
 */
export async function getPiece(
  { nc }: LogConnection,
  bucket: string,
  { nuid: id, chunks, size, digest }: ObjectInfo,
  timeoutMs: number,
): Promise<Uint8Array | undefined> {
  const received: Uint8Array[] = [];
  if (chunks > 0) {
    const consumer = await nc
      .jetstream()
      .consumers.get(streamOf(bucket), { filterSubjects: [chunkSubject(bucket, id)] });
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
