import { randomUUID } from 'node:crypto';
import { ClusterError } from '@engram/model';
import { backoffMs, Deadline, type Clock } from '@engram/runtime';
import type { LogConnection } from './connection.ts';
import { isNotYetReady, isWrongLastSequence, toLogError } from './errors.ts';
import { ensureStreams, idOfLog, noteIdOfLog, type LogLayout, type LogLimits } from './streams.ts';

const BUCKET = 'engram-cluster';
const LAYOUT = 'layout';
const ID = 'id';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface Patience {
  /** How long servers that have just been started may take to find each other. */
  readonly withinMs: number;
  /** Ends the waiting, with its reason. */
  readonly signal?: AbortSignal;
  readonly clock: Clock;
}

/**
 * Makes the log and writes down the counts that it is made with, or checks them against what there is: a
 * member with another partition count would read and write other subjects than the rest. One that is
 * refused has written nothing.
 * @returns the cluster's id, which it keeps as long as its log: it stands there too
 * @throws ClusterError CLUSTER_DIFFERS, LOG_FULL, LOG_UNAVAILABLE
 */
export async function agreeOnLayout(
  connection: LogConnection,
  layout: LogLayout,
  limits: LogLimits,
  { withinMs, signal, clock }: Patience,
): Promise<string> {
  const deadline = new Deadline(clock, withinMs);
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await agree(connection, layout, limits);
    } catch (error) {
      if (!isNotYetReady(error)) throw error;
      if (deadline.isOver) throw notReady(error, limits);
      await clock.sleep(backoffMs(attempt, 100, 1_000, Math.random), signal);
    }
  }
}

function notReady(cause: unknown, { replicas }: LogLimits): ClusterError {
  const { message } = cause as Error;
  return new ClusterError('LOG_UNAVAILABLE', `JetStream is not ready: ${message}`, {
    cause,
    hint: `ENGRAM_LOG_REPLICAS is ${replicas}: so many nats-servers with JetStream have to have found each other`,
  });
}

async function agree(
  connection: LogConnection,
  layout: LogLayout,
  limits: LogLimits,
): Promise<string> {
  const kv = await connection.nc
    .jetstream()
    .views.kv(BUCKET, { history: 1, replicas: limits.replicas });
  const wanted = JSON.stringify({
    partitionCount: layout.partitionCount,
    stripeCount: layout.stripeCount,
  });
  const written = await kv.get(LAYOUT);
  if (written?.operation === 'PUT') requireSame(written.string(), wanted);
  await ensureStreams(connection, layout, limits);
  // Another member may write first; then the comparison below decides.
  await kv.create(LAYOUT, wanted).catch(unlessThere);
  requireSame((await kv.get(LAYOUT))?.string(), wanted);
  const inLog = await idOfLog(connection);
  await kv.create(ID, inLog ?? randomUUID()).catch(unlessThere);
  const id = (await kv.get(ID))?.string();
  if (id === undefined) throw new ClusterError('LOG_UNAVAILABLE', 'the cluster has no id yet');
  if (inLog === undefined) {
    // A folder of blobs has that name.
    if (!UUID.test(id))
      throw new ClusterError('CLUSTER_DIFFERS', `${JSON.stringify(id)} is no id of a cluster`, {
        hint: `write its own under the key ${ID} of the bucket ${BUCKET}; the blobs lie in a folder of that name`,
      });
    await noteIdOfLog(connection, id);
  }
  // The blobs of the one are not those of the other: its checkpoints would be missed, and none found.
  else if (id !== inLog)
    throw new ClusterError('CLUSTER_DIFFERS', `the log is of cluster ${inLog}, not of ${id}`, {
      hint: `write ${inLog} under the key ${ID} of the bucket ${BUCKET}, or bring the log of ${id} back`,
    });
  return id;
}

/**
 * The counts that the cluster was made with.
 * @throws ClusterError LOG_UNAVAILABLE where none was made
 */
export async function readLayout(connection: LogConnection): Promise<LogLayout> {
  try {
    const kv = await connection.nc.jetstream().views.kv(BUCKET, { bindOnly: true });
    const text = (await kv.get(LAYOUT))?.string();
    if (text !== undefined && text !== '') return JSON.parse(text) as LogLayout;
  } catch (error) {
    throw toLogError(error);
  }
  throw new ClusterError('LOG_UNAVAILABLE', 'no cluster was made on this NATS');
}

function unlessThere(error: unknown): void {
  if (!isWrongLastSequence(error)) throw error;
}

function requireSame(written: string | undefined, wanted: string): void {
  if (written !== wanted)
    throw new ClusterError(
      'CLUSTER_DIFFERS',
      `the cluster was made with ${written ?? 'nothing'}, this member has ${wanted}`,
      { hint: 'set ENGRAM_PARTITIONS and ENGRAM_STRIPES to what the cluster was made with' },
    );
}
