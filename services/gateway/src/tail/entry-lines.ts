// What an entry of the log does, one line for each observation that it puts or deletes.

import {
  decodeFrame,
  encodeBatch,
  readItems,
  sniffBodyKind,
  type BodyKind,
  type Frame,
} from '@engram/codec';
import type { LogMessage } from '@engram/log';
import type { Lane, SpaceConfig } from '@engram/model';
import { outcomeOf } from '../verify/fold.ts';

/** Of an entry, in the words of the API. */
export type EntryLine = {
  readonly sequence: number;
  readonly lane: Lane;
  /** When the log stored it, ISO 8601. */
  readonly time: string;
} & (
  | {
      readonly op: 'put';
      readonly id: string;
      readonly metadata?: unknown;
      readonly timestamp?: number;
      readonly embedding?: readonly number[];
    }
  | { readonly op: 'delete'; readonly id: string }
  /** Items that no shard takes: they are dead letters. */
  | { readonly op: 'rejected'; readonly count: number }
);

export type TailedEntry = Pick<
  LogMessage,
  'sequence' | 'lane' | 'storedAtMs' | 'contentType' | 'bytes'
>;

/** At least one line: an entry that cannot be read counts as one that was rejected. */
export function* linesOf(
  entry: TailedEntry,
  config: SpaceConfig,
  withEmbeddings: boolean,
): Generator<EntryLine, void> {
  const { sequence, lane, storedAtMs } = entry;
  const common = { sequence, lane, time: new Date(storedAtMs).toISOString() };
  const { puts, deletes, rejected } = outcomeOf(entry, config);
  const told = new Set<string>();
  for (const frame of framesOf(entry, config, puts.size))
    for (let index = 0; index < frame.putCount; index++) {
      const id = frame.id(index);
      // The first of an id in a frame counts.
      if (!puts.has(id) || told.has(id)) continue;
      told.add(id);
      yield { ...common, op: 'put', id, ...restOf(frame, index, withEmbeddings) };
    }
  for (const id of deletes) yield { ...common, op: 'delete', id };
  if (rejected > 0) yield { ...common, op: 'rejected', count: rejected };
}

function framesOf(
  { contentType, bytes }: TailedEntry,
  { dimension, metric }: SpaceConfig,
  puts: number,
): Frame[] {
  if (puts === 0) return [];
  const kind = sniffBodyKind(contentType, bytes) as BodyKind;
  if (kind === 'frame') return [decodeFrame(bytes)];
  const options = { dimension, metric, lanePerItem: false };
  return encodeBatch(readItems(kind, bytes), options).frames.map((each) => decodeFrame(each.bytes));
}

function restOf(frame: Frame, index: number, withEmbeddings: boolean) {
  const { dimension, embeddings, timestamps } = frame;
  const metadata = frame.metadata(index);
  const timestamp = timestamps[index]!;
  const at = index * dimension;
  return {
    ...(metadata === undefined ? {} : { metadata: JSON.parse(metadata) as unknown }),
    ...(Number.isNaN(timestamp) ? {} : { timestamp }),
    ...(withEmbeddings ? { embedding: Array.from(embeddings.subarray(at, at + dimension)) } : {}),
  };
}
