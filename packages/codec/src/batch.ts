// From items of any source (JSON, NDJSON, MessagePack, a frame) to frames for the log: each item is
// checked on its own, so that one bad item never takes a good one with it.

import {
  DEFAULT_LANE,
  isLane,
  LANES,
  observationIdFault,
  type ErrorCode,
  type ItemError,
  type Lane,
  type Metric,
} from '@engram/model';
import { embeddingFault, writeEmbedding } from './embedding.ts';
import { encodeFrame, FRAME_HEADER_BYTES } from './frame-encoder.ts';
import { encodeMetadata } from './metadata.ts';

/**
 * A frame stays well below the 1 MiB that a NATS server takes by default: large enough that a
 * message's cost is spread over some hundred observations, small enough that lanes interleave.
 */
export const FRAME_BYTES_MAX = 256 * 1024;

export interface BatchOptions {
  readonly dimension: number;
  readonly metric: Metric;
  /** Lane of the items that name none. */
  readonly lane?: Lane;
  /** False where the lane is already decided (a NATS subject), so that items do not name one. */
  readonly lanePerItem?: boolean;
  readonly frameBytesMax?: number;
}

/** An item with where it came from, for the error that may name it. */
export interface BatchItem {
  readonly value: unknown;
  readonly pointer: string;
  readonly line?: number;
  /** Set when the item could not even be parsed. */
  readonly fault?: { readonly code: ErrorCode; readonly detail: string };
}

export interface EncodedFrame {
  readonly lane: Lane;
  readonly bytes: Uint8Array;
  readonly count: number;
}

export interface EncodedBatch {
  readonly frames: readonly EncodedFrame[];
  readonly accepted: number;
  readonly errors: readonly ItemError[];
}

const FIELDS = ['id', 'embedding', 'metadata', 'timestamp', 'lane'];

/** Encodes the good items into frames by lane, in their order, and says why the others are not. */
export function encodeBatch(items: readonly BatchItem[], options: BatchOptions): EncodedBatch {
  const writers = new Map<Lane, LaneWriter>();
  const errors: ItemError[] = [];
  const seen = new Set<string>();
  items.forEach((item, index) => {
    const fault: ItemFault | undefined =
      item.fault ?? encodeItem(item.value, options, seen, writers, items.length);
    if (fault === undefined) return;
    const id = idOf(item.value);
    errors.push({
      index,
      ...(item.line === undefined ? {} : { line: item.line }),
      ...(id === undefined ? {} : { id }),
      code: fault.code,
      detail: fault.detail,
      pointer: item.pointer + (fault.field ?? ''),
    });
  });
  const frames = LANES.flatMap((lane) => writers.get(lane)?.finish() ?? []);
  return { frames, accepted: frames.reduce((sum, { count }) => sum + count, 0), errors };
}

interface ItemFault {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly field?: string;
}

function encodeItem(
  value: unknown,
  options: BatchOptions,
  seen: Set<string>,
  writers: Map<Lane, LaneWriter>,
  count: number,
): ItemFault | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { code: 'INVALID_BODY', detail: 'an observation must be an object' };
  const given = value as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(given).find((key) => !FIELDS.includes(key));
  if (unknown !== undefined)
    return {
      code: 'INVALID_BODY',
      detail: `an observation has no field ${JSON.stringify(unknown.slice(0, 64))}; its fields are ${FIELDS.join(', ')}`,
    };
  const { id, metadata, timestamp } = given;
  const idFault = observationIdFault(id);
  if (idFault !== undefined || typeof id !== 'string')
    return { code: 'INVALID_ID', detail: idFault ?? 'the id must be a string', field: '/id' };
  if (seen.has(id))
    return { code: 'DUPLICATE_ID', detail: 'the id stands earlier in the batch', field: '/id' };
  const lane = given['lane'] ?? options.lane ?? DEFAULT_LANE;
  if (!isLane(lane))
    return {
      code: 'INVALID_LANE',
      detail: `the lane must be one of ${LANES.join(', ')}`,
      field: '/lane',
    };
  if (timestamp !== undefined && timestamp !== null && !isTimestamp(timestamp))
    return {
      code: 'INVALID_TIMESTAMP',
      detail: 'the timestamp must be an integer of milliseconds since 1970',
      field: '/timestamp',
    };
  let text: string | undefined;
  if (metadata !== undefined && metadata !== null) {
    const encoded = encodeMetadata(metadata);
    if ('fault' in encoded)
      return {
        code: 'INVALID_METADATA',
        detail: `the metadata is not allowed: ${encoded.fault}`,
        field: '/metadata',
      };
    text = encoded.text;
  }
  const target = options.lanePerItem === false ? (options.lane ?? DEFAULT_LANE) : lane;
  let writer = writers.get(target);
  if (writer === undefined) writers.set(target, (writer = new LaneWriter(target, options, count)));
  const fault = writer.add(id, given['embedding'], text, isTimestamp(timestamp) ? timestamp : NaN);
  if (fault === undefined) seen.add(id);
  return (
    fault && { ...fault, detail: `the embedding is refused: ${fault.detail}`, field: '/embedding' }
  );
}

/** Whole milliseconds in the range of a date. */
export function isTimestamp(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && Math.abs(value) <= 8.64e15;
}

/** The id for the error message, when it is one that may be repeated. */
function idOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const id: unknown = (value as Readonly<Record<string, unknown>>)['id'];
  return typeof id === 'string' && observationIdFault(id) === undefined ? id : undefined;
}

/** Collects one lane's items into one slab and cuts frames from it. */
class LaneWriter {
  readonly #lane: Lane;
  readonly #options: BatchOptions;
  readonly #rowsMax: number;
  readonly #frames: EncodedFrame[] = [];
  /** Of a frame; it is used again for the next one. */
  readonly #slab: Float32Array;
  #ids: string[] = [];
  #metadata: (string | undefined)[] = [];
  #timestamps: number[] = [];
  #textBytes = 0;

  /** @param count items that may come at most */
  constructor(lane: Lane, options: BatchOptions, count: number) {
    this.#lane = lane;
    this.#options = options;
    const frameBytesMax = options.frameBytesMax ?? FRAME_BYTES_MAX;
    this.#rowsMax = Math.max(1, Math.floor(frameBytesMax / (options.dimension * 4 + 16)));
    this.#slab = new Float32Array(Math.min(this.#rowsMax, count) * options.dimension);
  }

  add(id: string, embedding: unknown, metadata: string | undefined, timestamp: number) {
    const { dimension, metric, frameBytesMax = FRAME_BYTES_MAX } = this.#options;
    const textBytes = id.length * 3 + (metadata === undefined ? 0 : metadata.length * 3);
    const rowBytes = dimension * 4 + 16;
    if (
      this.#ids.length > 0 &&
      (this.#ids.length === this.#rowsMax ||
        FRAME_HEADER_BYTES + (this.#ids.length + 1) * rowBytes + this.#textBytes + textBytes >
          frameBytesMax)
    )
      this.#cut();
    const offset = this.#ids.length * dimension;
    const fault =
      writeEmbedding(embedding, dimension, this.#slab, offset) ??
      embeddingFault(this.#slab, offset, dimension, metric);
    if (fault !== undefined) return fault;
    this.#ids.push(id);
    this.#metadata.push(metadata);
    this.#timestamps.push(timestamp);
    this.#textBytes += textBytes;
    return undefined;
  }

  finish(): readonly EncodedFrame[] {
    if (this.#ids.length > 0) this.#cut();
    return this.#frames;
  }

  #cut(): void {
    const bytes = encodeFrame({
      dimension: this.#options.dimension,
      ids: this.#ids,
      deletes: [],
      embeddings: this.#slab,
      timestamps: this.#timestamps,
      metadata: this.#metadata,
    });
    this.#frames.push({ lane: this.#lane, bytes, count: this.#ids.length });
    this.#ids = [];
    this.#metadata = [];
    this.#timestamps = [];
    this.#textBytes = 0;
  }
}

/** A frame that deletes the given ids. */
export function encodeDeletes(ids: readonly string[]): Uint8Array {
  return encodeFrame({
    dimension: 0,
    ids: [],
    deletes: ids,
    embeddings: new Float32Array(0),
    timestamps: [],
    metadata: [],
  });
}
