// Objects of a JetStream Object Store as NATS describes them (ADR-20), for bytes that are in memory. The
// library reads and writes the same, but hashes in JavaScript: 40 MB a second where the system's own
// SHA-256 does more than a thousand.

import { createHash, type Hash } from 'node:crypto';
import { headers, JSONCodec, nuid, type ObjectInfo } from 'nats';
import type { LogConnection } from './connection.ts';

/** As the library cuts them: well below the 1 MiB that a server takes by default. */
const CHUNK_BYTES = 128 * 1024;
const DIGEST = 'SHA-256=';

export function streamOf(bucket: string): string {
  return `OBJ_${bucket}`;
}

/** Where the description of an object is. */
export function metaSubject(bucket: string, name: string): string {
  const encoded = Buffer.from(name).toString('base64');
  return `$O.${bucket}.M.${encoded.replaceAll('+', '-').replaceAll('/', '_')}`;
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
  await js.publish(metaSubject(bucket, name), JSONCodec().encode(info), { headers: head });
  if (before !== null && before.nuid !== '') await purge(before.nuid).catch(() => undefined);
}

/**
 * The bytes of an object; undefined where they are not those that its description tells of.
 * @param timeoutMs for all of its chunks, which must be in the stream
 */
export async function getPiece(
  { nc }: LogConnection,
  { bucket, nuid: id, chunks, size, digest }: ObjectInfo,
  timeoutMs: number,
): Promise<Uint8Array | undefined> {
  const content = new Uint8Array(size);
  const hash = createHash('sha256');
  let at = 0;
  if (chunks > 0) {
    const consumer = await nc
      .jetstream()
      .consumers.get(streamOf(bucket), { filterSubjects: [chunkSubject(bucket, id)] });
    const messages = await consumer.fetch({ max_messages: chunks, expires: timeoutMs });
    for await (const { data } of messages) {
      if (at + data.length > size) return undefined;
      content.set(data, at);
      hash.update(data);
      at += data.length;
    }
  }
  return at === size && digestOf(hash) === digest ? content : undefined;
}

/** In the base64 of URLs, with its padding. */
function digestOf(hash: Hash): string {
  const text = hash.digest('base64').replaceAll('+', '-').replaceAll('/', '_');
  return `${DIGEST}${text}`;
}
