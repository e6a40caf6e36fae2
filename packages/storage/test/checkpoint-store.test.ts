import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PartitionId } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { CheckpointFile, decodeSection, type BlobStore } from '../src/index.ts';
import { checkpointOf, startStore } from './stores.ts';

const PARTITION = 3 as PartitionId;
const DAMAGED = { code: 'CHECKPOINT_DAMAGED' };

/** Changes one byte. */
function flip(path: string, at = 5): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 0x10;
  writeFileSync(path, bytes);
}

describe('a checkpoint store', () => {
  test('K1, K2: what was saved is fetched on another machine, whole', async () => {
    const one = await startStore();
    const { ref } = await one.store.save(await checkpointOf(one.cache));
    const other = await startStore(one.blobsFolder);
    const { head, lost } = await other.store.fetch(PARTITION, ref);
    expect(lost).toEqual([]);
    expect(head).toMatchObject({ partition: 3, epoch: 1, watermark: 42 });
    expect(Object.keys(head.blobs).sort()).toEqual(['3.1.b', '3.1.b2']);
    await using file = await CheckpointFile.open(other.cache.pathOf(ref.name));
    const { head: its, manifest, inline } = decodeSection(await file.section(head.spaces[1]!));
    expect(its.config.space).toBe('two');
    expect(manifest.toString()).toBe('a manifest');
    expect(inline.get('1.rows')).toEqual(Buffer.of(1, 2, 3));
    for (const blob of Object.keys(head.blobs))
      expect(readFileSync(other.cache.pathOf(blob), 'utf8')).toContain(`bytes of ${blob}`);
  });

  test('does not store again what is known', async () => {
    const saved: string[] = [];
    const one = await startStore(undefined, (blobs) => ({
      save: (name, path) => {
        saved.push(name);
        return blobs.save(name, path);
      },
      fetch: (name, path) => blobs.fetch(name, path),
      remove: (name) => blobs.remove(name),
      has: (name) => blobs.has(name),
      names: () => blobs.names(),
      [Symbol.asyncDispose]: () => blobs[Symbol.asyncDispose](),
    }));
    const first = await one.store.save(await checkpointOf(one.cache));
    const next = { ...(await checkpointOf(one.cache, '3.1.c')), known: first.blobs };
    expect((await one.store.save(next)).blobs).toEqual(first.blobs);
    expect(saved).toEqual(['3.1.b', '3.1.b2', '3.1.a', '3.1.c']);
  });

  test('K1: a checkpoint that is read back differently is not saved', async () => {
    const wrap = (blobs: BlobStore): BlobStore => ({
      save: (name, path) => blobs.save(name, path),
      fetch: async (name, path) => {
        const isThere = await blobs.fetch(name, path);
        flip(path);
        return isThere;
      },
      remove: (name) => blobs.remove(name),
      has: (name) => blobs.has(name),
      names: () => blobs.names(),
      [Symbol.asyncDispose]: () => blobs[Symbol.asyncDispose](),
    });
    const { store, cache } = await startStore(undefined, wrap);
    await expect(store.save(await checkpointOf(cache))).rejects.toMatchObject(DAMAGED);
  });

  test('a section whose blob is not on this machine is not saved', async () => {
    const { store, cache, blobs } = await startStore();
    const checkpoint = await checkpointOf(cache);
    rmSync(cache.pathOf('3.1.b2'));
    await expect(store.save(checkpoint)).rejects.toMatchObject(DAMAGED);
    expect(await blobs.names()).not.toContain('3.1.a');
  });

  test.each([
    ['a blob that is gone', '3.1.b', (path: string) => rmSync(path)],
    ['a blob with another byte', '3.1.b2', (path: string) => flip(path)],
    ['a blob that is cut off', '3.1.b', (path: string) => truncateSync(path, 10)],
  ])('K3: %s in the store is told with its name; the others are whole', async (_, name, damage) => {
    const one = await startStore();
    const { ref } = await one.store.save(await checkpointOf(one.cache));
    damage(join(one.blobsFolder, name));
    for (const other of [one, await startStore(one.blobsFolder)]) {
      // What is damaged there and here is not kept either.
      if (other === one) flip(one.cache.pathOf(name));
      const { head, lost } = await other.store.fetch(PARTITION, ref);
      expect(lost).toEqual([{ name, reason: expect.stringContaining(name) as string }]);
      for (const blob of Object.keys(head.blobs))
        expect(existsSync(other.cache.pathOf(blob)), blob).toBe(blob !== name);
    }
  });

  test.each([
    ['a checkpoint that is gone', '3.1.a', (path: string) => rmSync(path)],
    ['a checkpoint with another byte', '3.1.a', (path: string) => flip(path, 100)],
    ['an empty checkpoint', '3.1.a', (path: string) => truncateSync(path, 0)],
  ])('K3: %s in the store is told with its name, and not kept', async (_, name, damage) => {
    const one = await startStore();
    const { ref } = await one.store.save(await checkpointOf(one.cache));
    damage(join(one.blobsFolder, name));
    const other = await startStore(one.blobsFolder);
    await expect(other.store.fetch(PARTITION, ref)).rejects.toMatchObject({
      ...DAMAGED,
      details: { blob: name },
    });
    expect(existsSync(other.cache.pathOf(name))).toBe(false);
  });

  test('a checkpoint of another partition, or up to another place, is not taken', async () => {
    const { store, cache } = await startStore();
    const { ref } = await store.save(await checkpointOf(cache));
    for (const [partition, watermark] of [
      [4, 42],
      [3, 41],
      [3, 43],
    ] as const)
      for (const take of ['head', 'fetch'] as const)
        await expect(
          store[take](partition as PartitionId, { ...ref, watermark }),
        ).rejects.toMatchObject(DAMAGED);
    expect(await store.head(PARTITION, ref)).toMatchObject({ partition: 3, watermark: 42 });
  });

  test.each(['3.1.a', '3.1.b'])('K3: %s that is damaged here is fetched again', async (name) => {
    const { store, cache } = await startStore();
    const { ref } = await store.save(await checkpointOf(cache));
    flip(cache.pathOf(name));
    await store.fetch(PARTITION, ref);
    await store.fetch(PARTITION, ref);
    const other = await startStore();
    await other.store.save(await checkpointOf(other.cache));
    expect(readFileSync(cache.pathOf(name))).toEqual(readFileSync(other.cache.pathOf(name)));
  });

  test('removes what it is told to, here and in the store', async () => {
    const { store, cache, blobs } = await startStore();
    await store.save(await checkpointOf(cache));
    await store.remove(['3.1.a', '3.1.b', 'unknown']);
    expect(await blobs.names()).toEqual(['3.1.b2']);
    expect(existsSync(cache.pathOf('3.1.b'))).toBe(false);
  });
});

test('symptom: a name in the store led out of the folders that files lie in', async () => {
  const evil = '3.1.x/../../evil';
  const wrap = (blobs: BlobStore): BlobStore => ({
    save: (name, path) => blobs.save(name, path),
    fetch: () => Promise.reject(new Error('never asked for')),
    remove: (name) => blobs.remove(name),
    has: (name) => blobs.has(name),
    names: async () => [...(await blobs.names()), evil, '..', '.hidden', ''],
    [Symbol.asyncDispose]: () => blobs[Symbol.asyncDispose](),
  });
  const { store, blobs, cache } = await startStore(undefined, wrap);
  writeFileSync(cache.pathOf('3.1.b'), 'x');
  await blobs.save('3.1.b', cache.pathOf('3.1.b'));
  expect(await store.names()).toEqual(['3.1.b']);
  await expect(store.bring(evil, { bytes: 1, crc: 1 })).rejects.toMatchObject(DAMAGED);
  expect(() => cache.pathOf('..')).toThrow('no name of a blob');
});

describe('a checkpoint file', () => {
  test('that is changed anywhere before its sections is damaged', async () => {
    const { store, cache } = await startStore();
    const { ref } = await store.save(await checkpointOf(cache));
    const path = cache.pathOf(ref.name);
    const whole = readFileSync(path);
    await using file = await CheckpointFile.open(path);
    const sections = file.head.spaces.reduce((sum, { bytes }) => sum + bytes, 0);
    const end = whole.length - sections;
    for (let at = 0; at < end; at += 3) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x01;
      writeFileSync(path, bytes);
      await expect(CheckpointFile.open(path), `byte ${at}`).rejects.toMatchObject(DAMAGED);
    }
    for (const length of [0, 5, end - 1]) {
      writeFileSync(path, whole.subarray(0, length));
      await expect(CheckpointFile.open(path)).rejects.toMatchObject(DAMAGED);
    }
  });

  test('has sections with the manifest in their head, as they were written once', () => {
    const files = [{ name: '1.rows', bytes: 3 }];
    const head = Buffer.from(JSON.stringify({ config: {}, manifest: 'é', files }));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(head.length);
    const { manifest, inline } = decodeSection(Buffer.concat([length, head, Buffer.of(7, 8, 9)]));
    expect(manifest.toString()).toBe('é');
    expect(inline.get('1.rows')).toEqual(Buffer.of(7, 8, 9));
  });

  test.each([Buffer.alloc(0), Buffer.alloc(3), Buffer.alloc(4, 0xff), Buffer.from('????{}')])(
    'has no section of %j',
    (bytes) => {
      expect(() => decodeSection(bytes)).toThrow(expect.objectContaining(DAMAGED));
    },
  );
});
