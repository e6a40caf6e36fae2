import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PartitionId, SpaceId } from '@engram/model';
import { onTestFinished } from 'vitest';
import {
  CheckpointStore,
  FolderBlobs,
  SegmentCache,
  writeSection,
  type BlobStore,
  type NewCheckpoint,
  type WrittenSection,
} from '../src/index.ts';

/** A folder that is gone after the test. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'engram-storage-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface TestStore {
  readonly store: CheckpointStore;
  readonly blobs: FolderBlobs;
  readonly cache: SegmentCache;
  readonly blobsFolder: string;
}

/** @param wrap what the store sees of the blobs */
export async function startStore(
  blobsFolder = scratchFolder(),
  wrap: (blobs: BlobStore) => BlobStore = (blobs) => blobs,
): Promise<TestStore> {
  const blobs = await FolderBlobs.start(blobsFolder);
  const cache = await SegmentCache.open(scratchFolder());
  return { store: new CheckpointStore(wrap(blobs), cache), blobs, cache, blobsFolder };
}

/** A section of one space with one blob, which is put into the cache. */
async function section(cache: SegmentCache, space: string, blob: string): Promise<WrittenSection> {
  writeFileSync(cache.pathOf(blob), `bytes of ${blob}`.repeat(1_000));
  const path = join(scratchFolder(), space);
  const config = { space, afterSequence: 7 } as Parameters<typeof writeSection>[1]['config'];
  const files = [
    { name: '1.rows', bytes: 3 },
    { name: '2.rows', bytes: 9, blob },
  ];
  const inline = [Uint8Array.of(1, 2, 3)];
  const bytes = await writeSection(path, { config, files }, [Buffer.from('a manifest')], inline);
  return { space: space as SpaceId, afterSequence: 7, path, bytes, blobs: [blob] };
}

export async function checkpointOf(
  cache: SegmentCache,
  name = '3.1.a',
  blob = '3.1.b',
): Promise<NewCheckpoint> {
  const head = { partition: 3 as PartitionId, epoch: 1, watermark: 42, writtenAtMs: 1 };
  const sections = [await section(cache, 'one', blob), await section(cache, 'two', `${blob}2`)];
  return { name, head, sections, known: {} };
}
