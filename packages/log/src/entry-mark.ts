import { ClusterError, type PartitionId } from '@engram/model';
import { AckPolicy, DeliverPolicy, nanos, type JetStreamManager } from 'nats';
import type { LogConnection } from './connection.ts';
import { isMessageNotFound, toLogError } from './errors.ts';
import type { EntryMark } from './log-ends.ts';
import type { StoredCheckpoint } from './partition-record.ts';
import { trimSubject } from './subjects.ts';

/** A consumer that is asked for one entry. */
const INACTIVE_THRESHOLD_MS = 10_000;
const FIRST_MS_MAX = 5_000;

/**
 * Whether a checkpoint was made of the log as it is, not of one that lost its end since. Where the entry at
 * the end of that log was trimmed, another one may have had its place: then the entries of the partition
 * that have places before it are all older.
 * @throws ClusterError LOG_UNAVAILABLE
 */
export async function isOfLog(
  connection: LogConnection,
  stream: string,
  partition: PartitionId,
  { watermark, logEnd = { sequence: watermark } }: StoredCheckpoint,
): Promise<boolean> {
  try {
    const jsm = await connection.nc.jetstreamManager({ checkAPI: false });
    const found = await find(jsm, stream, logEnd);
    if (found !== 'trimmed' || logEnd.storedAtMs === undefined) return found !== 'other';
    const after = { partition, storedAtMs: logEnd.storedAtMs };
    return !(await hasYounger(connection, jsm, stream, after, logEnd.sequence));
  } catch (error) {
    throw toLogError(error);
  }
}

/**
 * Whether a stream still has this very entry, or had it: of one that was trimmed only the sequence is known.
 * @throws ClusterError LOG_UNAVAILABLE
 */
export async function hasEntry(
  connection: LogConnection,
  stream: string,
  mark: EntryMark,
): Promise<boolean> {
  try {
    const jsm = await connection.nc.jetstreamManager({ checkAPI: false });
    return (await find(jsm, stream, mark)) !== 'other';
  } catch (error) {
    throw toLogError(error);
  }
}

/** What is there in the place of an entry. */
async function find(
  jsm: JetStreamManager,
  stream: string,
  { sequence, storedAtMs }: EntryMark,
): Promise<'same' | 'other' | 'trimmed'> {
  const { state } = await jsm.streams.info(stream);
  if (state.last_seq < sequence) return 'other';
  if (storedAtMs === undefined || sequence === 0) return 'same';
  try {
    const time =
      state.last_seq === sequence
        ? Date.parse(state.last_ts)
        : (await jsm.streams.getMessage(stream, { seq: sequence })).time.getTime();
    return time === storedAtMs ? 'same' : 'other';
  } catch (error) {
    if (isMessageNotFound(error)) return 'trimmed';
    throw error;
  }
}

/** Whether an entry of a partition was stored later than a time, though its place is before a sequence. */
async function hasYounger(
  { nc }: LogConnection,
  jsm: JetStreamManager,
  stream: string,
  { partition, storedAtMs }: { readonly partition: PartitionId; readonly storedAtMs: number },
  sequence: number,
): Promise<boolean> {
  const { name, num_pending: pending } = await jsm.consumers.add(stream, {
    deliver_policy: DeliverPolicy.StartTime,
    opt_start_time: new Date(storedAtMs + 1).toISOString(),
    filter_subject: trimSubject(partition),
    headers_only: true,
    ack_policy: AckPolicy.None,
    inactive_threshold: nanos(INACTIVE_THRESHOLD_MS),
    mem_storage: true,
    num_replicas: 1,
  });
  try {
    if (pending === 0) return false;
    const consumer = await nc.jetstream().consumers.get(stream, name);
    const first = await consumer.next({ expires: FIRST_MS_MAX });
    if (first !== null) return first.seq <= sequence;
    throw new ClusterError('LOG_UNAVAILABLE', 'the log does not say what it has after a time');
  } finally {
    await jsm.consumers.delete(stream, name);
  }
}
