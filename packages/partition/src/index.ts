export { candidates, partitionsToHold } from './ownership.ts';
export { PartitionReader } from './partition-reader.ts';
