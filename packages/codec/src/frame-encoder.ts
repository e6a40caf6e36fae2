// Writes batch frames. Browsers run it too, so it knows no Buffer and no module of Node.

const MAGIC = 0x46_47_4e_45; // the bytes "ENGF" read as a little-endian u32
export const VERSION = 1;
export const ELEMENT_F32 = 0;
export const FRAME_HEADER_BYTES = 32;

const UTF8 = new TextEncoder();

/** Byte offsets of the columns for given counts. */
export function frameLayout(putCount: number, deleteCount: number, dimension: number) {
  const timestamps = FRAME_HEADER_BYTES;
  const embeddings = timestamps + putCount * 8;
  const idEnds = embeddings + putCount * dimension * 4;
  const metadataEnds = idEnds + (putCount + deleteCount) * 4;
  const text = metadataEnds + putCount * 4;
  return { timestamps, embeddings, idEnds, metadataEnds, text };
}

export interface FrameColumns {
  readonly dimension: number;
  readonly ids: readonly string[];
  readonly deletes: readonly string[];
  /** At least `ids.length × dimension` values; only those are copied. */
  readonly embeddings: Float32Array;
  readonly timestamps: readonly number[];
  readonly metadata: readonly (string | undefined)[];
}

/** Encodes columns that were validated before, on a little-endian machine; owned by the caller. */
export function encodeFrame(columns: FrameColumns): Uint8Array<ArrayBuffer> {
  const { ids, deletes, dimension } = columns;
  const putCount = ids.length;
  const layout = frameLayout(putCount, deletes.length, dimension);
  const id = textColumn([...ids, ...deletes]);
  const metadata = textColumn(ids.map((_, i) => columns.metadata[i] ?? ''));
  const bytes = new Uint8Array(layout.text + id.text.length + metadata.text.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, VERSION);
  view.setUint8(5, ELEMENT_F32);
  view.setUint32(8, putCount, true);
  view.setUint32(12, deletes.length, true);
  view.setUint32(16, dimension, true);
  view.setUint32(20, id.text.length, true);
  view.setUint32(24, metadata.text.length, true);
  for (let i = 0; i < putCount; i++)
    view.setFloat64(layout.timestamps + i * 8, columns.timestamps[i] ?? NaN, true);
  const slab = columns.embeddings;
  bytes.set(
    new Uint8Array(slab.buffer, slab.byteOffset, putCount * dimension * 4),
    layout.embeddings,
  );
  bytes.set(id.ends, layout.idEnds);
  bytes.set(metadata.ends, layout.metadataEnds);
  bytes.set(id.text, layout.text);
  bytes.set(metadata.text, layout.text + id.text.length);
  return bytes;
}

interface TextColumn {
  /** As bytes of the u32 after the other. */
  readonly ends: Uint8Array;
  readonly text: Uint8Array;
}

/** Texts one after the other in UTF-8, and where each ends. */
function textColumn(texts: readonly string[]): TextColumn {
  const joined = texts.join('');
  const text = UTF8.encode(joined);
  const ends = new Uint32Array(texts.length);
  // In text without anything but ASCII characters are bytes.
  const lengthOf = text.length === joined.length ? (each: string) => each.length : utf8Length;
  let end = 0;
  for (let i = 0; i < ends.length; i++) ends[i] = end += lengthOf(texts[i]!);
  return { ends: new Uint8Array(ends.buffer), text };
}

/** Of well-formed text. */
function utf8Length(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) bytes += 1;
    // Each half of a pair of surrogates has two of its four bytes.
    else if (unit < 0x800 || (unit >= 0xd800 && unit < 0xe000)) bytes += 2;
    else bytes += 3;
  }
  return bytes;
}
