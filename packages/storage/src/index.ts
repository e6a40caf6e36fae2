export { damagedBlob, isDamage } from './blob-store.ts';
export type { BlobStore } from './blob-store.ts';
export { CheckpointFile } from './checkpoint-file.ts';
export type { CheckpointHead, SectionEntry, WrittenSection } from './checkpoint-file.ts';
export { CheckpointStore } from './checkpoint-store.ts';
export type {
  CheckpointRef,
  FetchedCheckpoint,
  FoundCheckpoint,
  NewCheckpoint,
} from './checkpoint-store.ts';
export type { BlobMark } from './checksum.ts';
export { FolderBlobs } from './folder-blobs.ts';
export { linkOrCopy, SegmentCache } from './segment-cache.ts';
export { decodeSection, writeSection } from './space-section.ts';
export type { SectionFile, SectionHead } from './space-section.ts';
export { writeFully, writeParts, writeWhole } from './whole-file.ts';
