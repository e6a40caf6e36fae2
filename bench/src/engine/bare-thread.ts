// Entry of a thread of bareInsertMs: usearch's own addon, int8 rows, one call for each 64 of them.

import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { BareShare } from './bare-threads.ts';

interface Addon {
  readonly CompiledIndex: new (
    dimensions: number,
    metric: string,
    quantization: string,
    connectivity: number,
    expansionAdd: number,
    expansionSearch: number,
    multi: boolean,
  ) => { add(keys: BigUint64Array, vectors: Int8Array, threads: number): void };
}

const ROWS_A_CALL = 64;

const require = createRequire(import.meta.url);
// The package's files lie three folders above the file that it exports.
const root = dirname(dirname(dirname(dirname(require.resolve('usearch')))));
const { CompiledIndex } = (require('node-gyp-build') as (folder: string) => Addon)(root);
const { options, scale, slab, count } = workerData as BareShare;
const { dimension, m, efConstruction } = options;
const rows = Int8Array.from(slab, (value) =>
  Math.max(-127, Math.min(127, Math.round(value * scale))),
);
const keys = BigUint64Array.from({ length: count }, (_, row) => BigInt(row));
parentPort!.once('message', () => {
  const index = new CompiledIndex(dimension, 'ip', 'i8', m, efConstruction, 16, false);
  for (let row = 0; row < count; row += ROWS_A_CALL) {
    const end = Math.min(count, row + ROWS_A_CALL);
    index.add(keys.subarray(row, end), rows.subarray(row * dimension, end * dimension), 1);
  }
  parentPort!.postMessage('done');
});
parentPort!.postMessage('ready');
