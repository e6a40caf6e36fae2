// The bodies in which observations arrive, over HTTP or straight from NATS, become a list of items.

import { ClusterError, LIMITS, pointerStep } from '@engram/model';
import { decode as unpackStrict } from '@msgpack/msgpack';
import type { BatchItem } from './batch.ts';
import { decodeFrame, looksLikeFrame, type Frame } from './frame.ts';
import { decodeUtf8, parseJson, parseJsonText } from './json.ts';
import { utf8Fault } from './observation-fault.ts';

export const CONTENT_TYPES = {
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  msgpack: 'application/msgpack',
  frame: 'application/vnd.engram.frame',
} as const;

export type BodyKind = keyof typeof CONTENT_TYPES;

/** What a content type means, or undefined when it is not known. Parameters are ignored. */
export function bodyKind(contentType: string): BodyKind | undefined {
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase();
  if (type === 'application/x-msgpack' || type === 'application/vnd.msgpack') return 'msgpack';
  if (type === 'application/ndjson' || type === 'application/jsonl') return 'ndjson';
  return (Object.keys(CONTENT_TYPES) as BodyKind[]).find((kind) => CONTENT_TYPES[kind] === type);
}

/**
 * The items of a body.
 * @throws ClusterError INVALID_*, EMPTY_BATCH, BATCH_TOO_LARGE when the body as a whole is refused
 */
export function readItems(kind: BodyKind, bytes: Uint8Array): BatchItem[] {
  return counted(
    itemsOf(kind, bytes),
    kind === 'json' || kind === 'msgpack' ? '/observations' : '',
  );
}

/**
 * The items of a list that came in a message with other fields.
 * @throws ClusterError INVALID_BODY, EMPTY_BATCH, BATCH_TOO_LARGE
 */
export function readObservations(observations: unknown): BatchItem[] {
  return counted(itemsOfObject({ observations }), '/observations');
}

function counted(items: BatchItem[], pointer: string): BatchItem[] {
  if (items.length === 0)
    throw new ClusterError('EMPTY_BATCH', 'the body has no observation', { pointer });
  if (items.length > LIMITS.batchCountMax) throw tooMany(String(items.length));
  return items;
}

function tooMany(count: string): ClusterError {
  return new ClusterError(
    'BATCH_TOO_LARGE',
    `the batch has ${count} observations, ${LIMITS.batchCountMax} are allowed`,
    { hint: `split it into batches of at most ${LIMITS.batchCountMax}` },
  );
}

function itemsOf(kind: BodyKind, bytes: Uint8Array): BatchItem[] {
  switch (kind) {
    case 'json':
      return itemsOfObject(parseJson(bytes));
    case 'msgpack':
      return itemsOfObject(parseMsgpack(bytes));
    case 'ndjson':
      return itemsOfLines(decodeUtf8(bytes));
    case 'frame':
      return itemsOfFrame(decodeFrame(bytes));
  }
}

function itemsOfObject(body: unknown): BatchItem[] {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new ClusterError('INVALID_BODY', 'the body must be an object', {
      pointer: '',
      hint: 'send {"observations": [{"id": "a", "embedding": [0.1, 0.2]}]} or one bare observation',
    });
  if (!('observations' in body)) return [{ value: body, pointer: '' }];
  const { observations, ...rest } = body;
  if (Object.keys(rest).length > 0)
    throw new ClusterError('INVALID_BODY', 'the body has another field beside observations', {
      pointer: pointerStep(Object.keys(rest)[0] ?? ''),
    });
  if (!Array.isArray(observations))
    throw new ClusterError('INVALID_BODY', 'observations must be an array', {
      pointer: '/observations',
    });
  return observations.map((value: unknown, index) => ({
    value,
    pointer: `/observations/${index}`,
  }));
}

function itemsOfLines(text: string): BatchItem[] {
  const items: BatchItem[] = [];
  text.split('\n').forEach((raw, index) => {
    if (raw.trim() === '') return;
    const line = index + 1;
    // Each bad line costs an error object, so they are not all read before they are counted.
    if (items.length >= LIMITS.batchCountMax) throw tooMany(`more than ${LIMITS.batchCountMax}`);
    try {
      items.push({ value: parseJsonText(raw, line), pointer: '', line });
    } catch (error) {
      const { code, message } = ClusterError.from(error);
      items.push({ value: undefined, pointer: '', line, fault: { code, detail: message } });
    }
  });
  return items;
}

function itemsOfFrame(frame: Frame): BatchItem[] {
  if (frame.deleteCount > 0)
    throw new ClusterError('INVALID_FRAME', 'a frame with deletes is only for the log', {
      hint: 'delete by DELETE /v1/spaces/{space}/observations/{id}',
    });
  return Array.from({ length: frame.putCount }, (_, index) => itemOfFrame(frame, index));
}

function itemOfFrame(frame: Frame, index: number): BatchItem {
  const pointer = `/${index}`;
  const id = frame.id(index);
  const text = frame.metadata(index);
  const fault = utf8Fault(frame, index, id, text);
  if (fault !== undefined)
    return { value: fault.code === 'INVALID_ID' ? undefined : { id }, pointer, fault };
  const timestamp = frame.timestamps[index];
  try {
    const value = {
      id,
      embedding: frame.embeddings.subarray(index * frame.dimension, (index + 1) * frame.dimension),
      ...(text === undefined ? {} : { metadata: parseJsonText(text) }),
      ...(Number.isNaN(timestamp) ? {} : { timestamp }),
    };
    return { value, pointer };
  } catch (error) {
    const { message } = ClusterError.from(error);
    return { value: { id }, pointer, fault: { code: 'INVALID_METADATA', detail: message } };
  }
}

/** @throws ClusterError INVALID_MSGPACK */
export function parseMsgpack(bytes: Uint8Array): unknown {
  if (bytes.length === 0) throw new ClusterError('INVALID_MSGPACK', 'the body is empty');
  try {
    // Not msgpackr, which reads extensions of its own: shared references among them, by which some
    // hundred bytes become a tree of 10^13 nodes.
    return unpackStrict(bytes, { useBigInt64: false });
  } catch (cause) {
    throw new ClusterError('INVALID_MSGPACK', 'the body is not MessagePack', { cause });
  }
}

/** What a message from NATS holds: by its content type when it has one, else by its first bytes. */
export function sniffBodyKind(
  contentType: string | undefined,
  bytes: Uint8Array,
): BodyKind | undefined {
  if (contentType !== undefined && contentType !== '') return bodyKind(contentType);
  return looksLikeFrame(bytes) ? 'frame' : 'json';
}
