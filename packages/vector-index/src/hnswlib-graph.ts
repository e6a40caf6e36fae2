// Graphs by hnswlib-node: HNSW (Malkov and Yashunin 2018) over float32 rows.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import type { HierarchicalNSW as HierarchicalNswType } from 'hnswlib-node';
import type { Encoding } from './encoding.ts';
import { damaged, expectEqual, GraphFile, GraphFileFault } from './graph-file.ts';
import type { GraphEngine, GraphIndex, GraphOptions } from './graph.ts';
import { RowEncoder } from './row-encoder.ts';

const CAPACITY_MIN = 16;
/** Fixed, so that the same inserts give the same graph. */
const SEED = 100;
/** What is kept for a row besides its element: a mutex, a list, a level, a visit, and its label. */
const TABLE_BYTES = 40 + 8 + 4 + 2 + 40;
/** 65,536 mutexes of labels, in every graph. */
const FIXED_BYTES = 65_536 * 40;

export const HNSWLIB: GraphEngine = {
  create(options, encoding, capacity) {
    const { m, efConstruction } = options;
    const index = indexOf(options);
    const maxElements = Math.max(CAPACITY_MIN, capacity);
    index.initIndex({ maxElements, m, efConstruction, randomSeed: SEED });
    return new HnswlibGraph(options, encoding, index, false);
  },
  open(path, options, encoding, rows) {
    const index = indexOf(options);
    try {
      checkFile(path, options, rows);
      index.readIndexSync(path);
      expectEqual('number of rows', index.getCurrentCount(), rows);
    } catch (cause) {
      throw damaged(path, cause);
    }
    return new HnswlibGraph(options, encoding, index, true);
  },
};

let loaded: typeof HierarchicalNswType | undefined;

function indexOf({ dimension, metric, quantization }: GraphOptions): HierarchicalNswType {
  assert(quantization === 'f32', 'hnswlib keeps f32 only');
  try {
    // CommonJS with a native part; `require` loads it in every thread alike.
    const require = createRequire(import.meta.url);
    loaded ??= (require('hnswlib-node') as { HierarchicalNSW: typeof HierarchicalNswType })
      .HierarchicalNSW;
  } catch (cause) {
    throw new Error('the engine hnswlib cannot be loaded: was it built for this Node?', { cause });
  }
  return new loaded(metric === 'l2' ? 'l2' : 'ip', dimension);
}

/** Links of the lowest level behind their number, the components, and the label. */
function elementBytes({ dimension, m }: GraphOptions): number {
  return 4 + 2 * m * 4 + dimension * 4 + 8;
}

/**
 * A header of 96 bytes, the elements, and each element's list of upper links, behind its length. The
 * library checks the lengths, and reads all else as it comes.
 */
function checkFile(path: string, options: GraphOptions, rows: number): void {
  using file = new GraphFile(path);
  const { m } = options;
  const head = file.at(0, 96);
  const bytes = elementBytes(options);
  const words = [
    ['place of the links', 0],
    // `save` leaves no room behind the rows.
    ['capacity', Math.max(rows, 1)],
    ['number of rows', rows],
    ['bytes of an element', bytes],
    ['place of the label', bytes - 8],
    ['place of the components', 4 + 2 * m * 4],
  ] as const;
  for (const [i, [what, wanted]] of words.entries())
    expectEqual(what, head.getBigUint64(8 * i, true), wanted);
  for (const [offset, wanted] of [
    [56, m],
    [64, 2 * m],
    [72, m],
  ] as const)
    expectEqual('number of links', head.getBigUint64(offset, true), wanted);
  if (head.getFloat64(80, true) !== 1 / Math.log(m))
    throw new GraphFileFault('its levels are of another number of links');
  if (rows > 0 && head.getUint32(52, true) >= rows)
    throw new GraphFileFault('its entry is no node of it');
}

class HnswlibGraph implements GraphIndex {
  readonly isMapped = false;
  readonly #index: HierarchicalNswType;
  readonly #options: GraphOptions;
  readonly #encoder: RowEncoder;
  readonly #isOpened: boolean;
  #nextRow = 0;

  constructor(
    options: GraphOptions,
    encoding: Encoding,
    index: HierarchicalNswType,
    isOpened: boolean,
  ) {
    const { dimension, metric } = options;
    this.#index = index;
    this.#options = options;
    this.#encoder = new RowEncoder(dimension, metric, encoding, 1);
    this.#isOpened = isOpened;
  }

  get clippedRows(): number {
    return this.#encoder.clippedRows;
  }

  get size(): number {
    return this.#index.getCurrentCount();
  }

  /** Elements and tables for the whole capacity, and the upper links of the rows that are there. */
  get bytes(): number {
    const { m } = this.#options;
    const upper = (4 + m * 4) / (m - 1);
    const capacity = this.#index.getMaxElements();
    const tables = FIXED_BYTES + capacity * (elementBytes(this.#options) + TABLE_BYTES);
    return tables + Math.ceil(this.size * upper);
  }

  add(firstRow: number, vectors: Float32Array, count: number): void {
    assert(!this.#isOpened, 'an opened graph is read only');
    assert(firstRow >= this.#nextRow, 'rows come in ascending order');
    assert(count * this.#options.dimension <= vectors.length, 'there are fewer vectors');
    const capacity = this.#index.getMaxElements();
    if (this.size + count > capacity)
      this.#index.resizeIndex(Math.max(this.size + count, 2 * capacity));
    // The binding takes arrays of numbers only.
    for (let i = 0; i < count; i++)
      this.#index.addPoint(Array.from(this.#encoder.encode(vectors, i, 1)), firstRow + i);
    this.#nextRow = firstRow + count;
  }

  search(query: Float32Array, breadth: number): Uint32Array {
    assert(query.length === this.#options.dimension, 'the query has another dimension');
    const wanted = Math.min(breadth, this.size);
    if (wanted <= 0) return new Uint32Array(0);
    this.#index.setEf(wanted);
    const encoded = Array.from(this.#encoder.encode(query, 0, 1));
    return Uint32Array.from(this.#index.searchKnn(encoded, wanted).neighbors);
  }

  save(path: string): void {
    assert(!this.#isOpened, 'an opened graph is read only');
    this.#index.resizeIndex(Math.max(1, this.size));
    this.#index.writeIndexSync(path);
  }

  close(): void {
    // There is no call for it; a new index takes the place of the old one.
    this.#index.initIndex({ maxElements: 1 });
  }
}
