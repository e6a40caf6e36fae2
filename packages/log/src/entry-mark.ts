import type { LogConnection } from './connection.ts';
import { isMessageNotFound, toLogError } from './errors.ts';
import type { EntryMark } from './log-ends.ts';
import type { StoredCheckpoint } from './partition-record.ts';

/**
 * Whether a checkpoint was made of the log as it is, not of one that lost its end since.
 * @throws ClusterError LOG_UNAVAILABLE
 */
export function isOfLog(
  connection: LogConnection,
  stream: string,
  { watermark, logEnd = { sequence: watermark } }: StoredCheckpoint,
): Promise<boolean> {
  return hasEntry(connection, stream, logEnd);
}

/**
 * Whether a stream still has this very entry, or had it: of one that was trimmed only the sequence is known.
 * @throws ClusterError LOG_UNAVAILABLE
 */
export async function hasEntry(
  connection: LogConnection,
  stream: string,
  { sequence, storedAtMs }: EntryMark,
): Promise<boolean> {
  try {
    const jsm = await connection.nc.jetstreamManager({ checkAPI: false });
    const { state } = await jsm.streams.info(stream);
    if (state.last_seq < sequence) return false;
    if (storedAtMs === undefined || sequence === 0) return true;
    if (state.last_seq === sequence) return Date.parse(state.last_ts) === storedAtMs;
    const { time } = await jsm.streams.getMessage(stream, { seq: sequence });
    return time.getTime() === storedAtMs;
  } catch (error) {
    if (isMessageNotFound(error)) return true;
    throw toLogError(error);
  }
}
