// What an operator reads of a payload that somebody published, whatever it is.

import {
  bodyKind,
  decodeFrame,
  readItems,
  sniffBodyKind,
  writeEmbedding,
  type BodyKind,
} from '@engram/codec';
import { ClusterError } from '@engram/model';

/** What a payload holds, as far as it can be read. */
export interface PayloadSummary {
  readonly kind: BodyKind | 'unknown';
  readonly bytes: number;
  readonly observations?: number;
  readonly deletes?: number;
  /** Lengths of its embeddings, each once. */
  readonly dimensions?: readonly number[];
  /** The first of them; those of deletes come last. */
  readonly ids?: readonly string[];
  /** Why it cannot be read. */
  readonly fault?: string;
  /** Its beginning, where it is text. */
  readonly text?: string;
}

const IDS_MAX = 20;
const TEXT_CHARS_MAX = 1_000;

export function summaryOf(contentType: string | undefined, bytes: Uint8Array): PayloadSummary {
  const kind = contentType === undefined ? sniffBodyKind(undefined, bytes) : bodyKind(contentType);
  const base = { kind: kind ?? ('unknown' as const), bytes: bytes.length };
  const text = kind === 'frame' ? undefined : textOf(bytes);
  const told = { ...base, ...(text === undefined ? {} : { text }) };
  if (kind === undefined) return { ...told, fault: 'its content type is not known' };
  try {
    return { ...told, ...(kind === 'frame' ? ofFrame(bytes) : ofItems(kind, bytes)) };
  } catch (error) {
    return { ...told, fault: ClusterError.from(error).message };
  }
}

function ofFrame(bytes: Uint8Array): Partial<PayloadSummary> {
  const frame = decodeFrame(bytes);
  const { putCount, deleteCount, dimension } = frame;
  const count = Math.min(IDS_MAX, putCount + deleteCount);
  return {
    observations: putCount,
    deletes: deleteCount,
    dimensions: putCount === 0 ? [] : [dimension],
    ids: Array.from({ length: count }, (_, index) => frame.id(index)),
  };
}

function ofItems(kind: BodyKind, bytes: Uint8Array): Partial<PayloadSummary> {
  const values = readItems(kind, bytes).map(({ value }) => value as Item | null | undefined);
  const ids = values.map((value) => value?.id).filter((id) => typeof id === 'string');
  const dimensions = values.map((value) => dimensionOf(value?.embedding));
  return {
    observations: values.length,
    dimensions: [...new Set(dimensions.filter((each) => each !== undefined))],
    ids: ids.slice(0, IDS_MAX),
  };
}

interface Item {
  readonly id?: unknown;
  readonly embedding?: unknown;
}

/** Whatever form it has, the codec knows; it says so when it is asked for another length. */
function dimensionOf(embedding: unknown): number | undefined {
  if (Array.isArray(embedding)) return embedding.length;
  const bytes =
    typeof embedding === 'string' ? Buffer.from(embedding, 'base64').length : byteLength(embedding);
  const length = bytes === undefined ? undefined : bytes / 4;
  if (length === undefined || !Number.isInteger(length)) return undefined;
  const fault = writeEmbedding(embedding, length, new Float32Array(length), 0);
  return fault === undefined ? length : undefined;
}

function byteLength(value: unknown): number | undefined {
  return value instanceof Uint8Array || value instanceof Float32Array
    ? value.byteLength
    : undefined;
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX - 1)}…` : text;
  } catch {
    return undefined; // no text
  }
}
