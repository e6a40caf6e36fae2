// LanceDB: rows in files of columns, and a graph with scalar quantisation, made when all are there.

import { K } from '../dataset.ts';
import type { Library } from './embedded-child.ts';
import { packageThere } from './installed.ts';

/** What is used of the package `@lancedb/lancedb`. */
interface LanceDb {
  readonly connect: (folder: string) => Promise<{
    tableNames(): Promise<readonly string[]>;
    openTable(name: string): Promise<LanceTable>;
    createTable(name: string, rows: unknown): Promise<LanceTable>;
  }>;
  readonly Index: { hnswSq(options: object): unknown };
}
interface LanceTable {
  add(rows: unknown): Promise<unknown>;
  createIndex(column: string, options: { readonly config: unknown }): Promise<void>;
  vectorSearch(query: Float32Array): LanceQuery;
}
interface LanceQuery {
  distanceType(type: 'cosine'): LanceQuery;
  limit(count: number): LanceQuery;
  nprobes(count: number): LanceQuery;
  ef(ef: number): LanceQuery;
  refineFactor(factor: number): LanceQuery;
  select(columns: readonly string[]): LanceQuery;
  toArray(): Promise<readonly { readonly id: number }[]>;
}

/** What is used of the package `apache-arrow`. */
interface Arrow {
  readonly Int32: new () => unknown;
  readonly Float32: new () => unknown;
  readonly Field: new (name: string, type: unknown, nullable?: boolean) => unknown;
  readonly FixedSizeList: new (size: number, item: unknown) => unknown;
  readonly Struct: new (fields: readonly unknown[]) => unknown;
  readonly Schema: new (fields: readonly unknown[]) => unknown;
  readonly RecordBatch: new (schema: unknown, rows: unknown) => unknown;
  readonly Table: new (batches: readonly unknown[]) => unknown;
  readonly makeData: (parts: object) => unknown;
}

const TABLE = 'observations';
/** Its advice for tables of this size; every search looks into it. */
const PARTITIONS = 1;

export async function openLanceDb(folder: string, dimension: number): Promise<Library> {
  const { connect, Index } = packageThere<LanceDb>('@lancedb/lancedb');
  const database = await connect(folder);
  const names = await database.tableNames();
  let table = names.includes(TABLE) ? await database.openTable(TABLE) : undefined;
  return {
    async add(first, embeddings) {
      const rows = arrowTable(first, embeddings, dimension);
      if (table === undefined) table = await database.createTable(TABLE, rows);
      else await table.add(rows);
    },
    async finish() {
      const config = Index.hnswSq({ distanceType: 'cosine', numPartitions: PARTITIONS });
      await table!.createIndex('embedding', { config });
    },
    async search(query, { ef, refine = 1 }) {
      const answer = table!
        .vectorSearch(query)
        .distanceType('cosine')
        .limit(K)
        .nprobes(PARTITIONS)
        .ef(ef)
        .refineFactor(refine)
        .select(['id', '_distance']);
      return (await answer.toArray()).map(({ id }) => id);
    },
  };
}

/** One batch of columns over the embeddings as they are: rows as objects would cost more than the library. */
function arrowTable(first: number, embeddings: Float32Array, dimension: number): unknown {
  const { Field, FixedSizeList, Float32, Int32, makeData, RecordBatch, Schema, Struct, Table } =
    packageThere<Arrow>('apache-arrow');
  const length = embeddings.length / dimension;
  const integer = new Int32();
  const list = new FixedSizeList(dimension, new Field('item', new Float32(), true));
  const fields = [new Field('id', integer), new Field('embedding', list)];
  const numbers = Int32Array.from({ length }, (_, row) => first + row);
  const ids = makeData({ type: integer, length, data: numbers });
  const values = makeData({ type: new Float32(), length: embeddings.length, data: embeddings });
  const vectors = makeData({ type: list, length, nullCount: 0, child: values });
  const type = new Struct(fields);
  const rows = makeData({ type, length, nullCount: 0, children: [ids, vectors] });
  return new Table([new RecordBatch(new Schema(fields), rows)]);
}
