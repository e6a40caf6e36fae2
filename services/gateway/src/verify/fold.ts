// What the log says that a space holds. The rules stand here a second time on purpose: this judges the
// index, so it shares nothing with it but the codec.
//
//   F1. Entries are added in ascending sequence, so the last word on an id is the one that counts.
//   F2. Of a refused item nothing counts; of an entry that cannot be read nothing does.
//   F3. No more ids are held than `idsMax`: beyond that the slice is halved, and the other half is left
//       to another fold over the same entries.

import { isUtf8 } from 'node:buffer';
import {
  decodeFrame,
  embeddingFault,
  encodeBatch,
  isTimestamp,
  metadataTextFault,
  readItems,
  sniffBodyKind,
  type BodyKind,
  type Frame,
} from '@engram/codec';
import { observationIdFault, perLane, type Lane, type SpaceConfig } from '@engram/model';
import { EVERYTHING, halves, isIn, type Slice } from './slice.ts';

/** An entry of the log, as far as it matters here. */
export interface FoldedEntry {
  readonly sequence: number;
  readonly lane: Lane;
  readonly contentType: string | undefined;
  readonly bytes: Uint8Array;
}

/** What an entry does: its puts, then its deletes. */
export interface Outcome {
  readonly puts: ReadonlySet<string>;
  readonly deletes: readonly string[];
  /** Items that were refused; an entry that cannot be read counts as one. */
  readonly rejected: number;
}

/** Ids can be made that share a hash, and would never part. */
const MODULUS_MAX = 2 ** 16;

const UNREADABLE: Outcome = { puts: new Set(), deletes: [], rejected: 1 };

export function outcomeOf(
  { contentType, bytes }: Pick<FoldedEntry, 'contentType' | 'bytes'>,
  config: SpaceConfig,
): Outcome {
  const kind = sniffBodyKind(contentType, bytes);
  if (kind === undefined) return UNREADABLE;
  try {
    return kind === 'frame' ? ofFrame(decodeFrame(bytes), config) : ofItems(kind, bytes, config);
  } catch {
    return UNREADABLE; // F2: whatever it is that cannot be read, a shard sets it aside
  }
}

function ofFrame(frame: Frame, { dimension, metric }: SpaceConfig): Outcome {
  const puts = new Set<string>();
  const deletes: string[] = [];
  let rejected = 0;
  for (let index = 0; index < frame.putCount; index++) {
    const id = frame.dimension === dimension ? soundId(frame, index, metric) : undefined;
    // The first of an id in a frame counts; those after it are refused.
    if (id === undefined || puts.has(id)) rejected++;
    else puts.add(id);
  }
  for (let index = frame.putCount; index < frame.putCount + frame.deleteCount; index++)
    if (isText(frame, index)) deletes.push(frame.id(index));
  return { puts, deletes, rejected };
}

/** The id of a put that is not refused. */
function soundId(frame: Frame, index: number, metric: SpaceConfig['metric']): string | undefined {
  const id = frame.id(index);
  if (!isText(frame, index) || observationIdFault(id) !== undefined) return undefined;
  const { dimension, embeddings } = frame;
  if (embeddingFault(embeddings, index * dimension, dimension, metric) !== undefined)
    return undefined;
  const metadata = frame.metadata(index);
  if (metadata !== undefined && metadataTextFault(metadata) !== undefined) return undefined;
  const timestamp = frame.timestamps[index]!;
  return Number.isNaN(timestamp) || isTimestamp(timestamp) ? id : undefined;
}

function isText(frame: Frame, index: number): boolean {
  return isUtf8(frame.text.subarray(frame.idStart(index), frame.idStart(index + 1)));
}

function ofItems(
  kind: Exclude<BodyKind, 'frame'>,
  bytes: Uint8Array,
  config: SpaceConfig,
): Outcome {
  const { frames, errors } = encodeBatch(readItems(kind, bytes), {
    dimension: config.dimension,
    metric: config.metric,
    lanePerItem: false,
    frameBytesMax: Number.MAX_SAFE_INTEGER,
  });
  const puts = new Set<string>();
  for (const { bytes: encoded, count } of frames) {
    const frame = decodeFrame(encoded);
    for (let index = 0; index < count; index++) puts.add(frame.id(index));
  }
  return { puts, deletes: [], rejected: errors.length };
}

export class SpaceFold {
  /** Living ids of the slice, each with the sequence of the entry that wrote it. */
  readonly ids = new Map<string, number>();
  readonly #config: SpaceConfig;
  readonly #idsMax: number;
  readonly #rest: Slice[] = [];
  readonly #sequences = perLane(() => 0);
  #slice: Slice;
  #entries = 0;
  #rejected = 0;

  constructor(config: SpaceConfig, idsMax: number, slice = EVERYTHING) {
    this.#config = config;
    this.#idsMax = idsMax;
    this.#slice = slice;
  }

  get slice(): Slice {
    return this.#slice;
  }

  /** What became too much on the way (F3). */
  get rest(): readonly Slice[] {
    return this.#rest;
  }

  get entries(): number {
    return this.#entries;
  }

  get rejected(): number {
    return this.#rejected;
  }

  /** Of the last entry in each lane. */
  get sequences(): Readonly<Record<Lane, number>> {
    return this.#sequences;
  }

  add(entry: FoldedEntry): void {
    const { sequence, lane } = entry;
    if (sequence <= this.#config.afterSequence) return; // of an earlier space of the same name
    const { puts, deletes, rejected } = outcomeOf(entry, this.#config);
    this.#entries++;
    this.#rejected += rejected;
    this.#sequences[lane] = sequence;
    for (const id of puts) if (isIn(this.#slice, id)) this.ids.set(id, sequence);
    for (const id of deletes) this.ids.delete(id);
    this.#bound();
  }

  /** What the space held before the first entry. */
  seed(id: string, sequence: number): void {
    if (isIn(this.#slice, id)) this.ids.set(id, sequence);
    this.#bound();
  }

  /** F3 */
  #bound(): void {
    while (this.ids.size > this.#idsMax && this.#slice.modulus < MODULUS_MAX) this.#halve();
  }

  #halve(): void {
    const [kept, left] = halves(this.#slice);
    this.#slice = kept;
    this.#rest.push(left);
    for (const id of this.ids.keys()) if (!isIn(kept, id)) this.ids.delete(id);
  }
}
