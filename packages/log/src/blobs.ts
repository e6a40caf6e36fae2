import { join } from 'node:path';
import { FolderBlobs, type BlobStore } from '@engram/storage';
import type { LogConnection } from './connection.ts';
import { ObjectBlobs } from './object-blobs.ts';

/** Where the blobs of a cluster are. */
export interface BlobPlace {
  /** `nats`, or a folder: the setting ENGRAM_BLOB_STORE. */
  readonly store: string;
  /** The cluster's id. */
  readonly cluster: string;
  /** Of the Object Store. */
  readonly replicas: number;
}

/**
 * Opens the blob store of a cluster. In a folder each cluster has one of its own: it removes what none of
 * its checkpoints names, and another cluster may have been given the same folder.
 * @param connect called where the blobs are in NATS
 * @throws ClusterError LOG_UNAVAILABLE, LOG_FULL; the errors of the file system
 */
export async function openBlobs(
  { store, cluster, replicas }: BlobPlace,
  connect: () => LogConnection | Promise<LogConnection>,
): Promise<BlobStore> {
  if (store !== 'nats') return FolderBlobs.start(join(store, cluster));
  return ObjectBlobs.start(await connect(), replicas);
}
