import { mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readWords, WORD_DIMENSION, type ReadWordsOptions, type Word } from '../src/index.ts';

async function collect(options: ReadWordsOptions): Promise<Word[]> {
  const words: Word[] = [];
  for await (const word of readWords(options)) words.push(word);
  return words;
}

describe('the words of the package', () => {
  test('come in the order of frequency with their trained numbers', async () => {
    const words = await collect({ limit: 300 });
    expect(words).toHaveLength(300);
    expect(words.slice(0, 8).map(({ word }) => word)).toEqual(
      ['the', ',', '.', 'of', 'to', 'and', 'in', '"'], // the eighth is written with an escape
    );
    for (const { embedding } of words) {
      expect(embedding).toBeInstanceOf(Float32Array);
      expect(embedding).toHaveLength(WORD_DIMENSION);
      expect(embedding.every(Number.isFinite)).toBe(true);
      expect(embedding.some((value) => value !== 0)).toBe(true);
    }
  });

  test('are 20,000 different ones by default, coffee, guitar and tuesday among them', async () => {
    const words = new Set((await collect({})).map(({ word }) => word));
    expect(words.size).toBe(20_000);
    expect(['coffee', 'guitar', 'tuesday'].filter((word) => !words.has(word))).toEqual([]);
  });

  test('go on where skip says', async () => {
    const all = await collect({ limit: 30 });
    expect(await collect({ skip: 20, limit: 10 })).toEqual(all.slice(20));
  });
});

describe('a file of the same form', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'words-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const row = (index: number) => [...Array<number>(WORD_DIMENSION).fill(index + 1), 1, index];

  async function fileOf(entries: [string, number[]][], words: string[] = []): Promise<string> {
    const path = join(folder, `${Math.random()}.json`);
    // Written by hand: an object would reorder numeric names and lose `__proto__`.
    const vectors = entries.map(([word, numbers]) => JSON.stringify(word) + `:[${numbers.join()}]`);
    const head = `{"size":1,"words":${JSON.stringify(words)}`;
    await writeFile(path, `${head},"vectors":{${vectors.join()}},"unkVector":[0]}`);
    return path;
  }

  test('gives awkward names as they are written', async () => {
    const names = ['7', '__proto__', 'constructor', 'a"b', '\\', '":[', '],"x":[', 'é😀', '}'];
    const path = await fileOf(
      names.map((name, index) => [name, row(index)]),
      ['"vectors":{', 'vectors'],
    );
    const words = await collect({ path });
    expect(words.map(({ word }) => word)).toEqual(names);
    expect(words[3]?.embedding[0]).toBe(4);
  });

  test('that ends before the limit gives what it has', async () => {
    const path = await fileOf([['one', row(0)]]);
    expect(await collect({ path, limit: 10 })).toHaveLength(1);
  });

  test('is refused when a word stands twice', async () => {
    const path = await fileOf([
      ['one', row(0)],
      ['one', row(0)],
    ]);
    await expect(collect({ path })).rejects.toThrow('order of frequency at 1');
  });

  test('is refused when it is cut off or has no vectors', async () => {
    const path = join(folder, 'cut.json');
    await writeFile(path, `{"vectors":{"a":[${row(0).join()}],"b":[1,2`);
    await expect(collect({ path })).rejects.toThrow('an entry does not end');
    await writeFile(path, '{}');
    await expect(collect({ path })).rejects.toThrow('no vectors');
  });

  test.runIf(process.platform === 'linux')('is closed when the loop ends early', async () => {
    const path = await fileOf([0, 1, 2, 3].map((index) => [`w${index}`, row(index)]));
    for await (const { word } of readWords({ path })) if (word === 'w1') break;
    await expect.poll(() => openFiles(), { timeout: 5_000 }).not.toContain(path);
  });
});

async function openFiles(): Promise<string[]> {
  const descriptors = await readdir('/proc/self/fd');
  const links = descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => 'gone'));
  return Promise.all(links);
}
