import type { PartitionId } from '@engram/model';
import type { JetStreamManager, StoredMsg } from 'nats';
import type { LogConnection } from './connection.ts';
import { isMessageNotFound, toLogError } from './errors.ts';
import type { EntryMark } from './log-ends.ts';
import type { StoredCheckpoint } from './partition-record.ts';
import { trimSubject } from './subjects.ts';

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
    return !(await hasYounger(jsm, stream, after, logEnd.sequence));
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

/**
 * Whether an entry of a partition was stored later than a time, though its place is before a sequence. The
 * last one there tells it, and is looked for by halves: a consumer that is to begin at a time begins with
 * older ones when the newest of its subject were removed (nats-server 2.10.27).
 */
async function hasYounger(
  jsm: JetStreamManager,
  stream: string,
  { partition, storedAtMs }: { readonly partition: PartitionId; readonly storedAtMs: number },
  sequence: number,
): Promise<boolean> {
  const subject = trimSubject(partition);
  let last: StoredMsg | undefined;
  for (let [low, high] = [1, sequence]; low <= high;) {
    const middle = last === undefined ? low : Math.ceil((low + high) / 2);
    const found = await nextOf(jsm, stream, subject, middle);
    if (found === undefined || found.seq > high) {
      if (last === undefined) return false;
      high = middle - 1;
    } else {
      last = found;
      low = found.seq + 1;
    }
  }
  return last !== undefined && last.time.getTime() > storedAtMs;
}

/** The first entry of a subject from a sequence on. */
async function nextOf(
  jsm: JetStreamManager,
  stream: string,
  subject: string,
  sequence: number,
): Promise<StoredMsg | undefined> {
  // The server knows it; the library's type has only the parts of it that exclude one another.
  const query = { seq: sequence, next_by_subj: subject };
  try {
    return await jsm.streams.getMessage(stream, query);
  } catch (error) {
    if (isMessageNotFound(error)) return undefined;
    throw error;
  }
}
