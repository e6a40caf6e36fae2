import { createRequire } from 'node:module';
import type { SpaceOptions } from '@engram/model';
import type { HierarchicalNSW as HierarchicalNswType } from 'hnswlib-node';
import type { GraphIndex } from './graph.ts';

// The package is CommonJS with a native part; `require` loads it in every thread alike.
const { HierarchicalNSW } = createRequire(import.meta.url)('hnswlib-node') as {
  HierarchicalNSW: typeof HierarchicalNswType;
};

const CAPACITY_MIN = 1_024;
/** Fixed, so that the same inserts give the same graph. */
const SEED = 100;

/** HNSW (Malkov and Yashunin 2018) by hnswlib-node. */
export class HnswlibGraph implements GraphIndex {
  readonly #index: HierarchicalNswType;
  readonly #present = new Set<number>();
  #capacity: number;

  constructor(options: SpaceOptions, rowsExpected: number) {
    this.#index = new HierarchicalNSW(options.metric, options.dimension);
    this.#capacity = Math.max(CAPACITY_MIN, rowsExpected);
    this.#index.initIndex({
      maxElements: this.#capacity,
      m: options.m,
      efConstruction: options.efConstruction,
      randomSeed: SEED,
    });
  }

  get size(): number {
    return this.#present.size;
  }

  put(row: number, embedding: Float32Array): void {
    if (row >= this.#capacity) {
      this.#capacity = Math.max(row + 1, this.#capacity * 2);
      this.#index.resizeIndex(this.#capacity);
    }
    // The binding takes arrays of numbers only.
    this.#index.addPoint(Array.from(embedding), row);
    this.#present.add(row);
  }

  remove(row: number): void {
    if (this.#present.delete(row)) this.#index.markDelete(row);
  }

  search(query: Float32Array, count: number, ef: number): readonly number[] {
    const wanted = Math.min(count, this.size);
    if (wanted === 0) return [];
    this.#index.setEf(Math.max(ef, wanted));
    return this.#index.searchKnn(Array.from(query), wanted).neighbors;
  }
}
