// The libraries that are compared with.

import { embedded } from './embedded.ts';
import { packageAbsence } from './installed.ts';

const EFS = [32, 64, 128, 256];
const REFINES = [2, 4];

export const lancedb = embedded('lancedb', {
  name: 'LanceDB, hnsw_sq',
  terms:
    'a library: batches of 1,000 added, then the index made, of one partition, else by default; acknowledged: in its files, not synced',
  settings: REFINES.flatMap((refine) =>
    EFS.map((ef) => ({ label: `ef ${ef}, refine ${refine}`, ef, refine })),
  ),
  absence: () => packageAbsence('@lancedb/lancedb', 'apache-arrow'),
});

export const sqliteVec = embedded('sqlite', {
  name: 'sqlite-vec',
  terms:
    'a library: transactions of 1,000, synchronous NORMAL, no graph, each search scans all; acknowledged: in its log, not synced',
  settings: [{ label: 'exact', ef: 0 }],
  absence: () => packageAbsence('sqlite-vec', 'better-sqlite3'),
});
