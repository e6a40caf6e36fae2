// The batch frame: the unit that travels from a gateway or a direct publisher through the log to a
// worker thread. FRAME.md beside this package is its published description; keep the two together.
//
//   F1. All numbers are little-endian, and every column starts at a multiple of its element size,
//       so that a frame in an aligned buffer is read by views, without copying an embedding.
//   F2. The columns fill the frame exactly: a truncated or padded frame is refused as a whole.
//   F3. Whatever the bytes, decoding throws INVALID_FRAME or gives a frame whose accessors are safe.

import { ClusterError } from '@engram/model';
import { ELEMENT_F32, FRAME_HEADER_BYTES, frameLayout, VERSION } from './frame-encoder.ts';

/** One batch of observations and deletes of one space, as views over its buffer. */
export interface Frame {
  /** Length of each embedding; 0 in a frame that only deletes. */
  readonly dimension: number;
  readonly putCount: number;
  readonly deleteCount: number;
  /** `putCount × dimension` values, one embedding after the other. */
  readonly embeddings: Float32Array;
  /** Milliseconds since 1970 for each put; NaN where none was given. */
  readonly timestamps: Float64Array;
  /** The ids of the puts, then those of the deletes. */
  id(index: number): string;
  /** JSON text of a put's metadata; undefined where none was given. */
  metadata(index: number): string | undefined;
  /** All ids, then all metadata, in UTF-8; `idStart(i)` to `idStart(i + 1)` is an id in it. */
  readonly text: Uint8Array;
  idStart(index: number): number;
  /** Where a put's metadata begins in `text`; it ends where the next one's begins. */
  metadataStart(index: number): number;
}

/** True when the bytes claim to be a frame; decoding may still refuse them. */
export function looksLikeFrame(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 4 &&
    bytes[0] === 0x45 &&
    bytes[1] === 0x4e &&
    bytes[2] === 0x47 &&
    bytes[3] === 0x46
  );
}

/** What a frame says it has, before it is decoded; undefined where it cannot be so. */
export function frameCounts(
  bytes: Uint8Array,
): { readonly puts: number; readonly deletes: number } | undefined {
  if (!looksLikeFrame(bytes) || bytes.length < FRAME_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES);
  const [puts, deletes] = [view.getUint32(8, true), view.getUint32(12, true)];
  // Each has at least the four bytes of its id's end.
  return (puts + deletes) * 4 > bytes.length ? undefined : { puts, deletes };
}

/**
 * Reads a frame in place. The views share the given buffer when it is aligned to 8 bytes (as a
 * buffer of its own is), else the bytes are copied once.
 * @throws ClusterError INVALID_FRAME
 */
export function decodeFrame(given: Uint8Array): Frame {
  const bytes = given.byteOffset % 8 === 0 ? given : new Uint8Array(given);
  if (!looksLikeFrame(bytes) || bytes.length < FRAME_HEADER_BYTES)
    throw invalid('it does not start with a frame header');
  const { buffer, byteOffset, byteLength } = bytes;
  const view = new DataView(buffer, byteOffset, byteLength);
  if (view.getUint8(4) !== VERSION) throw invalid(`version ${view.getUint8(4)} is not known`);
  if (view.getUint8(5) !== ELEMENT_F32)
    throw invalid(`element type ${view.getUint8(5)} is not known; 0 is float32`);
  const putCount = view.getUint32(8, true);
  const deleteCount = view.getUint32(12, true);
  const dimension = view.getUint32(16, true);
  const idBytes = view.getUint32(20, true);
  const metadataBytes = view.getUint32(24, true);
  if (putCount > 0 && dimension === 0) throw invalid('its dimension is 0');
  // Bounded one by one first, so that the products below stay exact integers.
  if (putCount > byteLength || deleteCount > byteLength || dimension > byteLength)
    throw invalid('its counts exceed its length');
  const layout = frameLayout(putCount, deleteCount, dimension);
  if (layout.text + idBytes + metadataBytes !== byteLength)
    throw invalid(
      `it has ${byteLength} bytes where its header says ${layout.text + idBytes + metadataBytes}`,
    );
  const idEnds = new Uint32Array(buffer, byteOffset + layout.idEnds, putCount + deleteCount);
  const metadataEnds = new Uint32Array(buffer, byteOffset + layout.metadataEnds, putCount);
  checkEnds(idEnds, idBytes, 'id');
  checkEnds(metadataEnds, metadataBytes, 'metadata');
  const text = Buffer.from(buffer, byteOffset + layout.text, idBytes + metadataBytes);
  return {
    dimension,
    putCount,
    deleteCount,
    embeddings: new Float32Array(buffer, byteOffset + layout.embeddings, putCount * dimension),
    timestamps: new Float64Array(buffer, byteOffset + layout.timestamps, putCount),
    text,
    idStart: (index) => (index === 0 ? 0 : idEnds[index - 1]!),
    metadataStart: (index) => idBytes + (index === 0 ? 0 : metadataEnds[index - 1]!),
    id(index) {
      return text.toString('utf8', index === 0 ? 0 : idEnds[index - 1], idEnds[index]);
    },
    metadata(index) {
      const start = index === 0 ? 0 : metadataEnds[index - 1]!;
      const end = metadataEnds[index]!;
      return start === end ? undefined : text.toString('utf8', idBytes + start, idBytes + end);
    },
  };
}

/** Ends must rise and finish at the column's length, else a later slice would read a neighbour. */
function checkEnds(ends: Uint32Array, total: number, column: string): void {
  let before = 0;
  for (const end of ends) {
    if (end < before) throw invalid(`its ${column} ends fall`);
    before = end;
  }
  if (before !== total) throw invalid(`its ${column} ends do not fill the column`);
}

function invalid(detail: string): ClusterError {
  return new ClusterError('INVALID_FRAME', `the batch frame is malformed: ${detail}`);
}
