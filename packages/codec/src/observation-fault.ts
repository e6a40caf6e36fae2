import {
  observationIdFault,
  type ErrorCode,
  type ItemError,
  type SpaceConfig,
} from '@engram/model';
import { isTimestamp } from './batch.ts';
import { embeddingFault } from './embedding.ts';
import type { Frame } from './frame.ts';
import { textOf } from './json.ts';
import { metadataTextFault } from './metadata.ts';

export interface ObservationFault {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** Why the put at this index of the frame cannot be taken; undefined when it can. */
export function observationFault(
  frame: Frame,
  index: number,
  { dimension, metric }: Pick<SpaceConfig, 'dimension' | 'metric'>,
): ObservationFault | undefined {
  if (frame.dimension !== dimension)
    return {
      code: 'DIMENSION_MISMATCH',
      detail: `the frame has ${frame.dimension} values an embedding, the space takes ${dimension}`,
    };
  const idFault = frameIdFault(frame, index);
  if (idFault !== undefined) return { code: 'INVALID_ID', detail: idFault };
  const fault = embeddingFault(frame.embeddings, index * dimension, dimension, metric);
  if (fault !== undefined) return fault;
  const metadata = frame.metadata(index);
  if (metadata !== undefined) {
    const metadataFault = notUtf8(frame, index, metadata) ?? metadataTextFault(metadata);
    if (metadataFault !== undefined) return { code: 'INVALID_METADATA', detail: metadataFault };
  }
  const timestamp = frame.timestamps[index]!;
  if (!Number.isNaN(timestamp) && !isTimestamp(timestamp))
    return { code: 'INVALID_TIMESTAMP', detail: 'it must be an integer of milliseconds' };
  return undefined;
}

/** Why the id of a frame's put is none; undefined for one that is. */
export function frameIdFault(frame: Frame, index: number): string | undefined {
  const [start, end] = [frame.idStart(index), frame.idStart(index + 1)];
  if (isPlainId(frame.text, start, end)) return undefined;
  // Alone: a character may be cut between two. What is none is read as U+FFFD, and several ids were one.
  if (textOf(frame.text.subarray(start, end)) === undefined) return 'the id must be UTF-8';
  return observationIdFault(frame.id(index));
}

/** @param read the metadata of this put, in which what is no UTF-8 would be U+FFFD */
export function notUtf8(frame: Frame, index: number, read: string): string | undefined {
  if (!read.includes('\uFFFD')) return undefined;
  const bytes = frame.text.subarray(frame.metadataStart(index), frame.metadataStart(index + 1));
  return textOf(bytes) === undefined ? 'the metadata must be UTF-8' : undefined;
}

export function itemError(
  frame: Frame,
  index: number,
  { code, detail }: ObservationFault,
): ItemError {
  const id = frame.id(index);
  const isPrintable = observationIdFault(id) === undefined;
  return { index, ...(isPrintable ? { id } : {}), code, detail };
}

/** Most ids are printable ASCII of a moderate length; those are valid without a closer look. */
function isPlainId(text: Uint8Array, start: number, end: number): boolean {
  if (end <= start || end - start > 256) return false;
  for (let i = start; i < end; i++) if (text[i]! < 0x20 || text[i]! > 0x7e) return false;
  return true;
}
