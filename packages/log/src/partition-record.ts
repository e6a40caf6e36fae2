import type { MemberId, PartitionId } from '@engram/model';
import type { CheckpointRef } from '@engram/storage';
import type { EntryMark } from './log-ends.ts';

export interface StoredCheckpoint extends CheckpointRef {
  /** The end of the log at that time: one without it is another log. */
  readonly logEnd?: EntryMark;
  readonly writtenAtMs: number;
}

export interface PartitionRecord {
  readonly epoch: number;
  readonly writer: MemberId;
  /** Made anew with each epoch: two processes under one name are not taken for each other. */
  readonly claim: string;
  readonly current?: StoredCheckpoint;
  /** Kept until the next one is stored. */
  readonly previous?: StoredCheckpoint;
  /** Entries up to this sequence may be gone from the log; the current checkpoint has them. */
  readonly trimmedTo: number;
}

/** Made of a partition, an epoch and a random part; nothing that a path could be made of. */
const NAME = /^\d{1,6}\.\d{1,16}\.[0-9a-f-]{36}$/;
const EPOCH_MAX = Number.MAX_SAFE_INTEGER;

/** Of who writes next. One that was forged to be the highest stays: claims still tell writers apart. */
export function nextEpoch(epoch: number): number {
  return Math.min(epoch + 1, EPOCH_MAX);
}

/**
 * @param partition whose record it is: one that names checkpoints of another is none of its own
 * @param removedTo up to where entries may be gone, whatever the record says
 * @returns undefined for what no shard wrote, or no shard would have removed those entries behind
 */
export function decodeRecord(
  partition: PartitionId,
  text: string,
  removedTo: number,
): PartitionRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isRecord(value)) return undefined;
    for (const stored of [value.current, value.previous])
      if (stored !== undefined && !stored.name.startsWith(`${partition}.`)) return undefined;
    const record = { ...value, trimmedTo: Math.max(value.trimmedTo, removedTo) };
    return record.trimmedTo <= (record.current?.watermark ?? 0) ? record : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isRecord(value: unknown): value is PartitionRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { epoch, writer, claim, current, previous, trimmedTo } = value as Readonly<
    Record<string, unknown>
  >;
  if (!isCount(epoch) || !isCount(trimmedTo)) return false;
  if (typeof writer !== 'string' || typeof claim !== 'string') return false;
  return [current, previous].every((stored) => stored === undefined || isStored(stored));
}

function isStored(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, bytes, crc, watermark, writtenAtMs, logEnd } = value as Readonly<
    Record<string, unknown>
  >;
  if (typeof name !== 'string' || !NAME.test(name)) return false;
  if (![bytes, crc, watermark].every(isCount) || typeof writtenAtMs !== 'number') return false;
  return logEnd === undefined || isMark(logEnd);
}

function isMark(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { sequence, storedAtMs } = value as Readonly<Record<string, unknown>>;
  return isCount(sequence) && (storedAtMs === undefined || typeof storedAtMs === 'number');
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
