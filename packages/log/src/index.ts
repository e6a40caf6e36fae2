export { openBlobs } from './blobs.ts';
export type { BlobPlace } from './blobs.ts';
export { agreeOnLayout, readLayout } from './cluster-record.ts';
export { LogConnection } from './connection.ts';
export type { ConnectionOptions } from './connection.ts';
export type { NatsServer } from './nats-access.ts';
export { deadLetterNotFound, parseDeadLetterId } from './dead-letter-record.ts';
export type { DeadLetter } from './dead-letter-record.ts';
export { DeadLetters } from './dead-letter-store.ts';
export type {
  DeadLetterFilter,
  DeadLetterPage,
  DeadLetterSelection,
  Purged,
  Redriven,
} from './dead-letter-store.ts';
export { writeDeadLetter } from './dead-letters.ts';
export { isOfLog } from './entry-mark.ts';
export { readEntries } from './entry-range.ts';
export { followEntries } from './entry-tail.ts';
export { LogFeed } from './feed.ts';
export type { FeedOptions, Filtered, Room } from './feed.ts';
export type { LogMessage } from './log-message.ts';
export { IdempotencyStore } from './idempotency.ts';
export type { StoredAnswer } from './idempotency.ts';
export { ObjectBlobs } from './object-blobs.ts';
export { nextEpoch } from './partition-record.ts';
export type { PartitionRecord, StoredCheckpoint } from './partition-record.ts';
export { PartitionRegister } from './partition-register.ts';
export type { Registered, Unreadable } from './partition-register.ts';
export { LogPublisher } from './publisher.ts';
export type { LogEntry, PublisherOptions } from './publisher.ts';
export { publishUntil } from './publish-until.ts';
export type { Stored } from './publish-until.ts';
export { entryKey, requestKey } from './request-key.ts';
export { RewindWatch } from './rewind-watch.ts';
export { request, RpcServer, tell } from './rpc.ts';
export type { RpcMethod } from './rpc.ts';
export { sequenceAt } from './sequence-at.ts';
export { onSignals, publishSignal } from './signals.ts';
export { SpaceDirectory } from './space-directory.ts';
export type { SpaceChange } from './space-directory.ts';
export {
  DEAD_LETTER_STREAM,
  DEDUPE_WINDOW_MS,
  ensureStreams,
  logSize,
  streamHead,
  streamState,
  trimPartition,
} from './streams.ts';
export type { LogLayout, LogLimits, StreamState } from './streams.ts';
export {
  observationSubject,
  observeSubject,
  partitionSubjects,
  streamName,
  stripeOf,
} from './subjects.ts';
