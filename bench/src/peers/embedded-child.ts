// Entry of the process of one library: carries out what the bench says, one order after another.

import { mkdirSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { openLanceDb } from './lancedb-library.ts';
import type { Search } from './peer.ts';
import { searchLoad, type SearchLoad } from './search-load.ts';
import { openSqliteVec } from './sqlite-library.ts';

export type Order = { readonly kind: 'load' } | { readonly kind: 'ask'; readonly load: SearchLoad };

/** A library with the rows of a folder open. */
export interface Library {
  /** Adds rows, of which `first` is the number of the first. */
  add(first: number, embeddings: Float32Array<ArrayBuffer>): Promise<void>;
  /** After the last one. */
  finish(): Promise<void>;
  readonly search: Search;
}

const LIBRARIES = { lancedb: openLanceDb, sqlite: openSqliteVec } as const;
export type LibraryName = keyof typeof LIBRARIES;

/** What both libraries take best. */
const BATCH = 1_000;
const FLOAT_BYTES = 4;

const [name, folder, dimensionText] = process.argv.slice(2);
const dimension = Number(dimensionText);
const store = join(folder!, 'store');
mkdirSync(store, { recursive: true });
const queries = rowsOf(readFileSync(join(folder!, 'queries')));
const library = await LIBRARIES[name as LibraryName](store, dimension);
process.on('message', (order: Order) => void carryOut(order));
// The bench is gone.
process.on('disconnect', () => process.exit());
process.send!('ready');

async function carryOut(order: Order): Promise<void> {
  process.send!(order.kind === 'load' ? await load() : await ask(order.load));
}

/** By parts of the file, so that it is not counted as memory of the library. */
async function load(): Promise<string> {
  const file = openSync(join(folder!, 'rows'), 'r');
  for (let first = 0; ; first += BATCH) {
    const embeddings = new Float32Array(BATCH * dimension);
    const bytes = readSync(file, embeddings);
    if (bytes > 0) await library.add(first, embeddings.slice(0, bytes / FLOAT_BYTES));
    if (bytes < embeddings.byteLength) break;
  }
  await library.finish();
  return 'loaded';
}

function ask(load: SearchLoad) {
  const searches = Array.from({ length: load.clients }, () => library.search);
  return searchLoad(searches, queries, load);
}

function rowsOf(bytes: Buffer): readonly Float32Array[] {
  const all = new Float32Array(new Uint8Array(bytes).buffer);
  return Array.from({ length: all.length / dimension }, (_, row) =>
    all.slice(row * dimension, (row + 1) * dimension),
  );
}
