// sqlite-vec in better-sqlite3: an exact scan.

import { join } from 'node:path';
import { K } from '../dataset.ts';
import type { Library } from './embedded-child.ts';
import { packageThere } from './installed.ts';

/** What is used of the package `better-sqlite3`. */
interface Database {
  exec(sql: string): void;
  pragma(text: string): void;
  prepare(sql: string): Statement;
  transaction(work: () => void): () => void;
}
interface Statement {
  run(...values: readonly unknown[]): void;
  all(...values: readonly unknown[]): readonly { readonly rowid: number }[];
}
interface SqliteVec {
  readonly load: (database: Database) => void;
}

export function openSqliteVec(folder: string, dimension: number): Promise<Library> {
  const Sqlite = packageThere<new (path: string) => Database>('better-sqlite3');
  const database = new Sqlite(join(folder, 'observations.db'));
  packageThere<SqliteVec>('sqlite-vec').load(database);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = NORMAL');
  database.exec(
    `CREATE VIRTUAL TABLE IF NOT EXISTS observations USING vec0(embedding float[${dimension}] distance_metric=cosine)`,
  );
  const insert = database.prepare('INSERT INTO observations (rowid, embedding) VALUES (?, ?)');
  const nearest = database.prepare(
    `SELECT rowid FROM observations WHERE embedding MATCH ? AND k = ${K} ORDER BY distance`,
  );
  return Promise.resolve({
    async add(first, embeddings) {
      const insertAll = database.transaction(() => {
        for (let row = 0; row * dimension < embeddings.length; row++)
          // It takes integers as such only.
          insert.run(
            BigInt(first + row),
            embeddings.subarray(row * dimension, (row + 1) * dimension),
          );
      });
      insertAll();
      return Promise.resolve();
    },
    finish: () => Promise.resolve(),
    search: (query) => Promise.resolve(nearest.all(query).map(({ rowid }) => rowid)),
  });
}
