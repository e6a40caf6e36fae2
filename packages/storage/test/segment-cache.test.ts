import { linkSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FolderBlobs, linkOrCopy, SegmentCache } from '../src/index.ts';
import { scratchFolder } from './stores.ts';

test('a sweep removes what is old and not named', async () => {
  const cache = await SegmentCache.open(scratchFolder());
  for (const name of ['named', 'unnamed']) writeFileSync(cache.pathOf(name), name);
  const before = Math.min(...['named', 'unnamed'].map((n) => statSync(cache.pathOf(n)).ctimeMs));
  expect(await cache.sweep((name) => name === 'named', before - 1)).toBe(0);
  expect(await cache.sweep((name) => name === 'named', Date.now() + 60_000)).toBe(1);
  expect(readFileSync(cache.pathOf('named'), 'utf8')).toBe('named');
});

test('what was just linked counts as new, however old its bytes are', async () => {
  const cache = await SegmentCache.open(scratchFolder());
  const path = join(scratchFolder(), 'old');
  writeFileSync(path, 'old');
  utimesSync(path, 1, 1);
  linkSync(path, cache.pathOf('old'));
  expect(await cache.sweep(() => false, Date.now() - 60_000)).toBe(0);
});

test('a link takes the place of what was there, and needs its source', async () => {
  const folder = scratchFolder();
  const [from, to] = [join(folder, 'from'), join(folder, 'to')];
  writeFileSync(from, 'new');
  writeFileSync(to, 'before');
  await linkOrCopy(from, to);
  expect(readFileSync(to, 'utf8')).toBe('new');
  await expect(linkOrCopy(join(folder, 'missing'), to)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a folder of blobs knows only what was saved as a whole', async () => {
  const folder = scratchFolder();
  const blobs = await FolderBlobs.start(join(folder, 'of', 'blobs'));
  writeFileSync(join(folder, 'a'), 'first');
  await blobs.save('1.1.a', join(folder, 'a'));
  writeFileSync(join(folder, 'a'), 'second');
  await expect(blobs.save('1.1.b', join(folder, 'missing'))).rejects.toThrow();
  writeFileSync(join(folder, 'of', 'blobs', '1.1.c.tmp'), 'half');
  mkdirSync(join(folder, 'of', 'blobs', '1.1.d'));
  expect(await blobs.names()).toEqual(['1.1.a']);
  const has = ['1.1.a', '1.1.b', '1.1.d'].map((name) => blobs.has(name));
  expect(await Promise.all(has)).toEqual([true, false, false]);
  expect(await blobs.fetch('1.1.d', join(folder, 'back'))).toBe(false);
  expect(await blobs.fetch('1.1.a', join(folder, 'back'))).toBe(true);
  expect(readFileSync(join(folder, 'back'), 'utf8')).toBe('first');
  expect(await blobs.fetch('1.1.b', join(folder, 'back'))).toBe(false);
  await blobs.remove('1.1.a');
  await blobs.remove('1.1.a');
  expect(await blobs.names()).toEqual([]);
});
