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
  const isPlain = isPlainId(frame.text, frame.idStart(index), frame.idStart(index + 1));
  const id = isPlain ? undefined : frame.id(index);
  const metadata = frame.metadata(index);
  const notText = utf8Fault(frame, index, id, metadata);
  if (notText !== undefined) return notText;
  const idFault = id === undefined ? undefined : observationIdFault(id);
  if (idFault !== undefined) return { code: 'INVALID_ID', detail: idFault };
  const fault = embeddingFault(frame.embeddings, index * dimension, dimension, metric);
  if (fault !== undefined) return fault;
  if (metadata !== undefined) {
    const metadataFault = metadataTextFault(metadata);
    if (metadataFault !== undefined) return { code: 'INVALID_METADATA', detail: metadataFault };
  }
  const timestamp = frame.timestamps[index]!;
  if (!Number.isNaN(timestamp) && !isTimestamp(timestamp))
    return { code: 'INVALID_TIMESTAMP', detail: 'it must be an integer of milliseconds' };
  return undefined;
}

/**
 * What of a put is no UTF-8: it is read as U+FFFD, by which several ids were one. Each text is looked at
 * alone, as a character may be cut between two.
 * @param id as it was read; undefined for one that is known to be plain
 * @param metadata as it was read, where there is any
 */
export function utf8Fault(
  frame: Frame,
  index: number,
  id: string | undefined,
  metadata: string | undefined,
): ObservationFault | undefined {
  const { text } = frame;
  if (!isUtf8(id, text, frame.idStart(index), frame.idStart(index + 1)))
    return { code: 'INVALID_ID', detail: 'the id must be UTF-8' };
  if (!isUtf8(metadata, text, frame.metadataStart(index), frame.metadataStart(index + 1)))
    return { code: 'INVALID_METADATA', detail: 'the metadata must be UTF-8' };
  return undefined;
}

/** The mark may also be written, so only bytes that were read as one are looked at. */
function isUtf8(read: string | undefined, text: Uint8Array, start: number, end: number): boolean {
  return read?.includes('\uFFFD') !== true || textOf(text.subarray(start, end)) !== undefined;
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
