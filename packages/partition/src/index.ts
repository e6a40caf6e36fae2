export { candidates, partitionsToHold } from './ownership.ts';
export { PartitionReader } from './partition-reader.ts';
export type { Feed, FeedRequest, ReaderOptions } from './partition-reader.ts';
