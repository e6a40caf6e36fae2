import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The native part of usearch 2.26.2 (`javascript/lib.cpp`), which takes int8 rows as they are. */
export interface UsearchAddon {
  readonly CompiledIndex: new (
    dimensions: number,
    metric: UsearchMetric,
    quantization: string,
    connectivity: number,
    expansionAdd: number,
    expansionSearch: number,
    multi: boolean,
  ) => CompiledIndex;
  /** Reads the whole buffers of both arrays from byte 0; `count` must not be above the rows. */
  exactSearch(
    dataset: Float32Array,
    queries: Float32Array,
    dimensions: number,
    count: number,
    metric: UsearchMetric,
    threads: number,
  ): Matches;
}

type UsearchMetric = 'ip' | 'cos' | 'l2sq';

/** Keys, distances, and how many of them each query got. */
type Matches = readonly [BigUint64Array, Float32Array, BigUint64Array];

/** Checks none of its arguments: wrong lengths read or write memory of others. */
export interface CompiledIndex {
  add(keys: BigUint64Array, vectors: Float32Array | Int8Array, threads: number): void;
  search(queries: Float32Array | Int8Array, count: number, threads: number): Matches;
  save(path: string): void;
  load(path: string): void;
  view(path: string): void;
  size(): number;
  capacity(): number;
  dimensions(): number;
}

let loaded: UsearchAddon | undefined;

/**
 * The addon itself, past the package's wrapper: that would turn int8 rows into floats, which the
 * library then quantises again, each by its own length.
 * @throws Error that names the engine when there is no binary for this platform
 */
export function usearchAddon(): UsearchAddon {
  if (loaded !== undefined) return loaded;
  try {
    const require = createRequire(import.meta.url);
    const build = require('node-gyp-build') as (folder: string) => UsearchAddon;
    // <package>/javascript/dist/cjs/usearch.js: its exports do not show package.json.
    const folder = join(dirname(require.resolve('usearch')), '..', '..', '..');
    loaded = build(folder);
  } catch (cause) {
    const { platform, arch } = process;
    throw new Error(`the engine usearch has no binary that loads on ${platform}-${arch}`, {
      cause,
    });
  }
  return loaded;
}

/** Keys are row numbers: their low words, without a BigInt for each. */
export function rowsOf(keys: BigUint64Array, count: number): Uint32Array {
  const words = new Uint32Array(keys.buffer, keys.byteOffset, 2 * count);
  const rows = new Uint32Array(count);
  for (let i = 0; i < count; i++) rows[i] = words[2 * i]!;
  return rows;
}
