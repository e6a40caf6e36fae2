// Graphs by usearch: HNSW (Malkov and Yashunin 2018) over rows that `RowEncoder` has narrowed.

import assert from 'node:assert/strict';
import { devNull } from 'node:os';
import type { Quantization } from '@engram/model';
import type { Encoding } from './encoding.ts';
import { damaged, expectEqual, GraphFile, GraphFileFault } from './graph-file.ts';
import type { GraphEngine, GraphIndex, GraphOptions } from './graph.ts';
import { RowEncoder } from './row-encoder.ts';
import { type CompiledIndex, rowsOf, usearchAddon } from './usearch-addon.ts';

/** Rows that are encoded and handed over in one call: 256 KiB at 1,024 dimensions of int8. */
const ROWS_PER_CALL = 256;
/** A search looks as far as it is asked for rows; this is only the least. */
const EXPANSION_SEARCH = 16;
/** Two pointers and two slots of a hash table from key to slot, for each row of the capacity. */
const TABLE_BYTES = 8 + 8 + 2 * 16;
const ELEMENT_BYTES: Readonly<Record<Quantization, number>> = { i8: 1, bf16: 2, f16: 2, f32: 4 };

export const USEARCH: GraphEngine = {
  create: (options, encoding) =>
    new UsearchGraph(options, encoding, indexOf(options, encoding), false),
  open(path, options, encoding, rows) {
    const index = indexOf(options, encoding);
    try {
      checkFile(path, options, encoding, rows);
      index.view(path);
      expectEqual('dimension', index.dimensions(), options.dimension);
      expectEqual('number of rows', index.size(), rows);
    } catch (cause) {
      throw damaged(path, cause);
    }
    return new UsearchGraph(options, encoding, index, true);
  },
};

/** Rows of cosine have the length 1, where the inner product inserted 12 % faster than l2sq. */
function indexOf(options: GraphOptions, encoding: Encoding) {
  const { dimension, m, efConstruction } = options;
  const { CompiledIndex } = usearchAddon();
  const measure = measureOf(options, encoding);
  const expansion = [efConstruction, EXPANSION_SEARCH] as const;
  return new CompiledIndex(dimension, measure, encoding.quantization, m, ...expansion, false);
}

function measureOf({ metric }: GraphOptions, { centre }: Encoding): keyof typeof METRIC_KIND {
  return metric === 'l2' || centre !== undefined ? 'l2sq' : 'ip';
}

const MAGIC = 'usearch';
/** `metric_kind_t` and `scalar_kind_t` of include/usearch/index_plugins.hpp. */
const METRIC_KIND = { ip: 0x69, l2sq: 0x65 } as const;
const SCALAR_KIND: Readonly<Record<Quantization, number>> = { i8: 23, bf16: 4, f16: 12, f32: 11 };

/**
 * The file is a matrix (its rows and bytes a row, as 32-bit numbers, then the rows), a header of 64
 * bytes, and the graph (size, links a node in the upper and lowest levels, top level, entry, as
 * 64-bit numbers, then levels and nodes). The library checks that it is whole, not what it is of.
 */
function checkFile(path: string, options: GraphOptions, encoding: Encoding, rows: number): void {
  using file = new GraphFile(path);
  const { dimension, m } = options;
  const { quantization } = encoding;
  const matrix = file.at(0, 8);
  const rowBytes = dimension * ELEMENT_BYTES[quantization];
  expectEqual('number of rows', matrix.getUint32(0, true), rows);
  expectEqual('bytes of a row', matrix.getUint32(4, true), rowBytes);
  const begin = 8 + rows * rowBytes;
  const head = file.at(begin, 64);
  if ([...MAGIC].some((letter, i) => head.getUint8(i) !== letter.charCodeAt(0)))
    throw new GraphFileFault('it is no graph of usearch');
  expectEqual('metric', head.getUint8(13), METRIC_KIND[measureOf(options, encoding)]);
  expectEqual('scalar kind', head.getUint8(14), SCALAR_KIND[quantization]);
  expectEqual('dimension', head.getBigUint64(33, true), dimension);
  if (rows === 0) return;
  const graph = file.at(begin + 64, 40);
  expectEqual('number of nodes', graph.getBigUint64(0, true), rows);
  expectEqual('number of links', graph.getBigUint64(8, true), m);
  expectEqual('number of links in the lowest level', graph.getBigUint64(16, true), 2 * m);
  if (graph.getBigUint64(32, true) >= BigInt(rows))
    throw new GraphFileFault('its entry is no node of it');
}

const blocks = (bytes: number, block: number): number => Math.ceil(bytes / block) * block;

class UsearchGraph implements GraphIndex {
  readonly isMapped: boolean;
  readonly #index: CompiledIndex;
  readonly #options: GraphOptions;
  readonly #quantization: Quantization;
  readonly #rows: RowEncoder;
  readonly #query: RowEncoder;
  readonly #keys: BigUint64Array;
  #nextRow = 0;

  constructor(options: GraphOptions, encoding: Encoding, index: CompiledIndex, isMapped: boolean) {
    const { dimension, metric } = options;
    this.#quantization = encoding.quantization;
    const rowsPerCall = isMapped ? 0 : ROWS_PER_CALL;
    this.isMapped = isMapped;
    this.#index = index;
    this.#options = options;
    this.#rows = new RowEncoder(dimension, metric, encoding, rowsPerCall);
    this.#query = new RowEncoder(dimension, metric, encoding, 1);
    this.#keys = new BigUint64Array(rowsPerCall);
  }

  get clippedRows(): number {
    return this.#rows.clippedRows;
  }

  get size(): number {
    return this.#index.size();
  }

  /**
   * A row has its components (in blocks of 8 bytes), a node of key, level and links (in blocks of 64
   * bytes; each list behind its length, and on average 1 / (m - 1) lists of upper levels), and its
   * places in tables that double.
   */
  get bytes(): number {
    const { dimension, m } = this.#options;
    const tables = this.#index.capacity() * TABLE_BYTES;
    if (this.isMapped) return tables;
    const vector = blocks(dimension * ELEMENT_BYTES[this.#quantization], 8);
    const node = blocks(8 + 2 + (4 + 2 * m * 4), 64) + (4 + m * 4) / (m - 1);
    return tables + Math.ceil(this.size * (vector + node));
  }

  add(firstRow: number, vectors: Float32Array, count: number): void {
    assert(!this.isMapped, 'an opened graph is read only');
    assert(firstRow >= this.#nextRow, 'rows come in ascending order');
    assert(count * this.#options.dimension <= vectors.length, 'there are fewer vectors');
    for (let from = 0; from < count; from += ROWS_PER_CALL) {
      const taken = Math.min(ROWS_PER_CALL, count - from);
      const words = new Uint32Array(this.#keys.buffer);
      for (let i = 0; i < taken; i++) words[2 * i] = firstRow + from + i;
      const rows = this.#rows.encode(vectors, from, taken);
      this.#index.add(this.#keys.subarray(0, taken), rows, 1);
    }
    this.#nextRow = firstRow + count;
  }

  search(query: Float32Array, breadth: number): Uint32Array {
    assert(query.length === this.#options.dimension, 'the query has another dimension');
    const wanted = Math.min(breadth, this.size);
    if (wanted <= 0) return new Uint32Array(0);
    const [keys, , counts] = this.#index.search(this.#query.encode(query, 0, 1), wanted, 1);
    return rowsOf(keys, Number(counts[0]));
  }

  save(path: string): void {
    assert(!this.isMapped, 'an opened graph is read only');
    this.#index.save(path);
  }

  close(): void {
    try {
      // There is no call for it; a load lets go of everything before it reads.
      this.#index.load(devNull);
    } catch (error) {
      assert(this.#index.size() === 0, String(error));
    }
  }
}
