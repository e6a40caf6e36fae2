// Rows in the binary format of COPY. Sources: the documentation of COPY, and pgvector's vector_recv.

import type { Vectors } from '../vectors.ts';

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** Flags and the length of an extension, none. */
const HEADER_BYTES = 8;
const FIELDS = 2;
const ID_BYTES = 4;
/** The dimension and two bytes that are not used. */
const VECTOR_HEAD_BYTES = 4;
const TRAILER = -1;

type Rows = Pick<Vectors, 'slab' | 'dimension'>;

/** Ids and embeddings of the rows from `first` to before `end`. */
export function copyRows({ slab, dimension }: Rows, first: number, end: number): Buffer {
  const vectorBytes = VECTOR_HEAD_BYTES + dimension * slab.BYTES_PER_ELEMENT;
  const rowBytes = 2 + 4 + ID_BYTES + 4 + vectorBytes;
  const bytes = Buffer.alloc(SIGNATURE.length + HEADER_BYTES + (end - first) * rowBytes + 2);
  let at = SIGNATURE.copy(bytes) + HEADER_BYTES;
  for (let row = first; row < end; row++) {
    at = bytes.writeInt16BE(FIELDS, at);
    at = bytes.writeInt32BE(ID_BYTES, at);
    at = bytes.writeInt32BE(row, at);
    at = bytes.writeInt32BE(vectorBytes, at);
    at = bytes.writeInt16BE(dimension, at);
    at = bytes.writeInt16BE(0, at);
    for (let i = row * dimension; i < (row + 1) * dimension; i++)
      at = bytes.writeFloatBE(slab[i]!, at);
  }
  bytes.writeInt16BE(TRAILER, at);
  return bytes;
}
