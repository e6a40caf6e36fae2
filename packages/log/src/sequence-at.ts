import { AckPolicy, DeliverPolicy, nanos } from 'nats';
import type { LogConnection } from './connection.ts';
import { toLogError } from './errors.ts';
import { streamName } from './subjects.ts';

/** A consumer that is only asked where it would begin. */
const INACTIVE_THRESHOLD_MS = 10_000;

/**
 * Of the first entry of a stripe that was stored at that time or later; of the next one, where there is none.
 * @throws ClusterError LOG_UNAVAILABLE
 */
export async function sequenceAt(
  connection: LogConnection,
  stripe: number,
  timeMs: number,
): Promise<number> {
  try {
    const jsm = await connection.nc.jetstreamManager({ checkAPI: false });
    const stream = streamName(stripe);
    const { name, delivered } = await jsm.consumers.add(stream, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartTime,
      opt_start_time: new Date(timeMs).toISOString(),
      inactive_threshold: nanos(INACTIVE_THRESHOLD_MS),
      mem_storage: true,
      num_replicas: 1,
    });
    // The server forgets it by itself, where this does not reach it.
    await jsm.consumers.delete(stream, name).catch(() => undefined);
    return delivered.stream_seq + 1;
  } catch (error) {
    throw toLogError(error);
  }
}
