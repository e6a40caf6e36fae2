import { describe, expect, test } from 'vitest';
import { csvRows } from '../src/import/csv.ts';
import { readLines, type Line } from '../src/import/lines.ts';
import { ndjsonRows } from '../src/import/ndjson.ts';
import type { Row } from '../src/import/row.ts';

async function* bytes(text: string | Buffer, size = 7): AsyncGenerator<Uint8Array, void> {
  const all = Buffer.from(text as string);
  // eslint-disable-next-line @typescript-eslint/await-thenable -- a stream gives its parts later
  for (let i = 0; i < all.length; i += size) yield await all.subarray(i, i + size);
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const csv = (text: string, options: Partial<Parameters<typeof csvRows>[1]> = {}): Promise<Row[]> =>
  all(csvRows(readLines(bytes(text)), { idColumn: 'id', ...options }));

const told = (rows: readonly Row[]) =>
  rows.map((row) => ('fault' in row ? [row.line, row.fault.code] : [row.line, row.observation]));

describe('lines', () => {
  test('are the same however the bytes are cut', async () => {
    const text = 'ä\r\n\n"b"\nlast';
    const expected: Line[] = ['ä', '', '"b"', 'last'].map((each, i) => ({
      number: i + 1,
      text: each,
    }));
    for (const size of [1, 2, 3, 100])
      expect(await all(readLines(bytes(text, size)))).toEqual(expected);
  });

  test('that are too long or not UTF-8 are faults, and the next one is read as usual', async () => {
    const text = Buffer.concat([Buffer.from('x'.repeat(50)), Buffer.from([10, 0xff, 10, 0x61])]);
    const lines = await all(readLines(bytes(text), 20));
    expect(lines.map(({ number, fault }) => [number, fault?.code])).toEqual([
      [1, 'OBSERVATION_TOO_LARGE'],
      [2, 'INVALID_UTF8'],
      [3, undefined],
    ]);
  });
});

describe('NDJSON', () => {
  test('keeps line numbers over blank lines and goes on behind what is no object', async () => {
    const rows = await all(ndjsonRows(readLines(bytes('{"id":"a"}\n\n{"id":\n[1]\n{"id":"b"}'))));
    expect(told(rows)).toEqual([
      [1, { id: 'a' }],
      [3, 'INVALID_JSON'],
      [4, 'INVALID_BODY'],
      [5, { id: 'b' }],
    ]);
  });
});

describe('CSV', () => {
  test('takes the columns with numbers as the embedding and the others as metadata', async () => {
    const rows = await csv('\ufeffid,x,y,topic,timestamp,lane\na,1,-2.5e1,tea,5,low\nb,3,4,,,\n');
    expect(told(rows)).toEqual([
      [2, { id: 'a', embedding: [1, -25], metadata: { topic: 'tea' }, timestamp: 5, lane: 'low' }],
      [3, { id: 'b', embedding: [3, 4] }],
    ]);
  });

  test('takes a column embedding as JSON or as numbers with spaces', async () => {
    const rows = await csv('key,embedding,year\na,"[1, 2]",1999\nb,3 4,2000\nc,3 x,2000', {
      idColumn: 'key',
    });
    expect(told(rows)).toEqual([
      [2, { id: 'a', embedding: [1, 2], metadata: { year: 1999 } }],
      [3, { id: 'b', embedding: [3, 4], metadata: { year: 2000 } }],
      [4, 'INVALID_EMBEDDING'],
    ]);
  });

  test('takes the columns that the user names, several by their beginning', async () => {
    const rows = await csv('id,e1,e2,year,metadata\na,1,2,1999,"{""n"": 1}"\nb,1,2,3,{', {
      embeddingColumns: ['e*'],
    });
    expect(told(rows)).toEqual([
      [2, { id: 'a', embedding: [1, 2], metadata: { year: 1999, n: 1 } }],
      [3, 'INVALID_METADATA'],
    ]);
  });

  test('tells which columns it guessed, and makes metadata numbers when nothing is lost', async () => {
    const guessed: (readonly string[])[] = [];
    const onGuess = (columns: readonly string[]) => void guessed.push(columns);
    const [, row] = await csv('id,x,a,b,c,d\nr,1,t,t,t,t\ns,2,007,1.5,true,1e400', { onGuess });
    expect(row).toMatchObject({
      observation: { metadata: { a: '007', b: 1.5, c: true, d: '1e400' } },
    });
    expect(guessed).toEqual([['x']]);
    await csv('id,x\na,1', { onGuess, embeddingColumns: ['x'] });
    expect(guessed).toHaveLength(1);
  });

  test('reads a cell with line ends, quotes and commas', async () => {
    const rows = await csv('id,x,note\na,1,"one\ntwo ""2"", three"\nb,2,z');
    expect(told(rows)).toEqual([
      [2, { id: 'a', embedding: [1], metadata: { note: 'one\ntwo "2", three' } }],
      [4, { id: 'b', embedding: [2], metadata: { note: 'z' } }],
    ]);
  });

  test('a stray quote, a missing column and a bad number cost one line each', async () => {
    const rows = await csv('id,x,y\na,1,2\nb,"1,2\nc,"3"x,4\nd,5\ne,six,7\nf,,1\ng,8,9\nh,"1\n');
    expect(told(rows)).toEqual([
      [2, { id: 'a', embedding: [1, 2] }],
      [3, 'INVALID_BODY'],
      [4, 'INVALID_BODY'],
      [5, 'INVALID_BODY'],
      [6, 'INVALID_EMBEDDING'],
      [7, 'INVALID_EMBEDDING'],
      [8, { id: 'g', embedding: [8, 9] }],
      [9, 'INVALID_BODY'],
    ]);
  });

  test('a guess at the columns that does not fit the space is told, not imported', async () => {
    await expect(csv('id,x,year\na,1,1999', { dimension: 1 })).rejects.toThrow(
      '2 columns of the file hold numbers, the space has the dimension 1',
    );
    await expect(csv('name,x\na,1')).rejects.toThrow('the file has no column id');
  });
});
