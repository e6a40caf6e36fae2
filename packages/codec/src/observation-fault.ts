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
  const { text } = frame;
  const idStart = frame.idStart(index);
  const idEnd = frame.idStart(index + 1);
  if (!isPlainId(text, idStart, idEnd)) {
    const isUtf8 = textOf(text.subarray(idStart, idEnd)) !== undefined;
    const idFault = isUtf8 ? observationIdFault(frame.id(index)) : 'the id must be UTF-8';
    if (idFault !== undefined) return { code: 'INVALID_ID', detail: idFault };
  }
  const fault = embeddingFault(frame.embeddings, index * dimension, dimension, metric);
  if (fault !== undefined) return fault;
  if (frame.metadataStart(index + 1) > frame.metadataStart(index)) {
    const metadataFault = metadataTextFault(frame.metadata(index)!);
    if (metadataFault !== undefined) return { code: 'INVALID_METADATA', detail: metadataFault };
  }
  const timestamp = frame.timestamps[index]!;
  if (!Number.isNaN(timestamp) && !isTimestamp(timestamp))
    return { code: 'INVALID_TIMESTAMP', detail: 'it must be an integer of milliseconds' };
  return undefined;
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
