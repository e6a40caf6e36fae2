// What a space held where the log no longer reaches back: the ids in a checkpoint, as the blob store has it.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  isOfLog,
  streamName,
  stripeOf,
  type LogConnection,
  type PartitionRecord,
  type StoredCheckpoint,
} from '@engram/log';
import { ClusterError, partitionOf, type SpaceConfig } from '@engram/model';
import { forEachStoredId } from '@engram/space-engine/stored-ids';
import {
  CheckpointFile,
  CheckpointStore,
  decodeSection,
  SegmentCache,
  type BlobStore,
} from '@engram/storage';

export interface BaseSource {
  readonly connection: LogConnection;
  readonly partitionCount: number;
  readonly stripeCount: number;
  readonly openBlobs: () => Promise<BlobStore>;
}

/** The ids of a space up to a place in the log; some entries behind it may be in there too. */
export interface CheckpointBase {
  readonly watermark: number;
  /** @throws ClusterError CHECKPOINT_DAMAGED, SEGMENT_DAMAGED, LOG_UNAVAILABLE */
  forEachId(visit: (id: string, sequence: number) => void): Promise<void>;
}

/**
 * The checkpoints that the log goes on from; the earlier one first: what comes after it the log judges.
 * @param isPressed the one first that is there for longer: its blobs go with the next checkpoint but one
 */
export async function findBases(
  source: BaseSource,
  config: SpaceConfig,
  { previous, current, trimmedTo }: PartitionRecord,
  isPressed: boolean,
): Promise<CheckpointBase[]> {
  const { connection, partitionCount, stripeCount } = source;
  const partition = partitionOf(config.space, partitionCount);
  const stream = streamName(stripeOf(partition, stripeCount));
  const bases: CheckpointBase[] = [];
  for (const stored of isPressed ? [current, previous] : [previous, current]) {
    if (stored === undefined || stored.watermark < trimmedTo) continue;
    if (!(await isOfLog(connection, stream, partition, stored))) continue;
    const { watermark } = stored;
    bases.push({ watermark, forEachId: (visit) => forEachId(source, config, stored, visit) });
  }
  return bases;
}

async function forEachId(
  { openBlobs, partitionCount }: BaseSource,
  { space, afterSequence }: SpaceConfig,
  stored: StoredCheckpoint,
  visit: (id: string, sequence: number) => void,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'engram-verify-'));
  try {
    const cache = await SegmentCache.open(folder);
    const store = new CheckpointStore(await opened(openBlobs), cache);
    const partition = partitionOf(space, partitionCount);
    const { spaces, blobs } = await store.head(partition, stored);
    const entry = spaces.find((each) => each.space === space);
    if (entry?.afterSequence !== afterSequence) return; // it is younger
    await using file = await CheckpointFile.open(cache.pathOf(stored.name));
    const { head, manifest, inline } = decodeSection(await file.section(entry));
    const blobOf = (name: string) => head.files.find((each) => each.name === name)?.blob ?? name;
    const files = {
      bring: async (name: string) => {
        const blob = blobOf(name);
        const bytes = inline.get(name);
        if (bytes === undefined) await store.bring(blob, blobs[blob]!);
        else await writeFile(cache.pathOf(blob), bytes);
        return cache.pathOf(blob);
      },
      release: (name: string) => cache.remove(blobOf(name)),
    };
    await forEachStoredId(manifest, files, visit);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A folder that shards mount need not be there for gateways. */
async function opened(openBlobs: () => Promise<BlobStore>): Promise<BlobStore> {
  try {
    return await openBlobs();
  } catch (cause) {
    if (cause instanceof ClusterError) throw cause;
    throw new ClusterError('CHECKPOINT_DAMAGED', 'the blob store cannot be opened', { cause });
  }
}
