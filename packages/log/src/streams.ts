import { ClusterError, type PartitionId } from '@engram/model';
import {
  DiscardPolicy,
  nanos,
  RetentionPolicy,
  StorageType,
  type JetStreamManager,
  type StreamConfig,
} from 'nats';
import type { LogConnection } from './connection.ts';
import { isStreamNotFound, storageError, toLogError } from './errors.ts';
import { streamName, streamSubjects, stripeOf, trimSubject } from './subjects.ts';

/** What the log of a cluster is made with. The counts never change in the life of a cluster. */
export interface LogLayout {
  readonly partitionCount: number;
  readonly stripeCount: number;
}

export interface LogLimits {
  /** Bytes of all stripes together; a full log refuses writes and loses nothing. */
  readonly bytesMax: number;
  /** Copies in a NATS cluster: 1, 3 or 5. */
  readonly replicas: number;
}

export const DEAD_LETTER_STREAM = 'DLQ';
/** Time within which a publish with the same message id is stored once. */
export const DEDUPE_WINDOW_MS = 120_000;
/** Below the server's limit of 1 MiB by what a dead letter adds in headers: it must fit too. */
const MESSAGE_BYTES_MAX = 1024 * 1024 - 16 * 1024;

/**
 * Makes the streams of the log where they are missing and checks those that exist.
 * @throws ClusterError CLUSTER_DIFFERS, LOG_FULL
 */
export async function ensureStreams(
  connection: LogConnection,
  layout: LogLayout,
  limits: LogLimits,
): Promise<void> {
  const jsm = await connection.nc.jetstreamManager();
  for (let stripe = 0; stripe < layout.stripeCount; stripe++)
    await ensureStream(jsm, {
      name: streamName(stripe),
      subjects: streamSubjects(stripe, layout.stripeCount, layout.partitionCount),
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      storage: StorageType.File,
      max_bytes: Math.floor(limits.bytesMax / layout.stripeCount),
      max_msg_size: MESSAGE_BYTES_MAX,
      num_replicas: limits.replicas,
      duplicate_window: nanos(DEDUPE_WINDOW_MS),
      allow_direct: true,
    });
  await ensureStream(jsm, {
    name: DEAD_LETTER_STREAM,
    subjects: ['dlq.*.*'],
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    storage: StorageType.File,
    max_bytes: Math.floor(limits.bytesMax / 8),
    max_age: nanos(30 * 24 * 3_600_000),
    // One entry for each refused message: a replay that meets it again replaces nothing.
    max_msgs_per_subject: 1,
    num_replicas: limits.replicas,
    allow_direct: true,
  });
}

async function ensureStream(
  jsm: JetStreamManager,
  config: Partial<StreamConfig> & { readonly name: string; readonly subjects: string[] },
): Promise<void> {
  try {
    const { config: current } = await jsm.streams.info(config.name);
    const before = new Set(current.subjects);
    if (before.size !== config.subjects.length || !config.subjects.every((s) => before.has(s)))
      throw new ClusterError(
        'CLUSTER_DIFFERS',
        `stream ${config.name} was made for other partitions`,
        { hint: 'start with the partition and stripe counts that the cluster was made with' },
      );
    const isSame = (['max_bytes', 'max_msg_size', 'num_replicas'] as const).every(
      (key) => config[key] === undefined || current[key] === config[key],
    );
    if (!isSame) await jsm.streams.update(config.name, { ...current, ...config });
  } catch (error) {
    if (!isStreamNotFound(error)) throw storageError(error, 'the log');
    await jsm.streams.add(config).catch((failure: unknown) => {
      throw storageError(failure, 'the log');
    });
  }
}

/** In the description of the first stripe: the id of the cluster whose log it is. */
const ID_KEY = 'engram-cluster';

/** @throws ClusterError LOG_UNAVAILABLE */
export async function idOfLog(connection: LogConnection): Promise<string | undefined> {
  try {
    const jsm = await connection.nc.jetstreamManager({ checkAPI: false });
    const { config } = await jsm.streams.info(streamName(0));
    return config.metadata?.[ID_KEY];
  } catch (error) {
    throw toLogError(error);
  }
}

/** @throws ClusterError LOG_UNAVAILABLE */
export async function noteIdOfLog(connection: LogConnection, id: string): Promise<void> {
  try {
    const jsm = await connection.nc.jetstreamManager({ checkAPI: false });
    const { config } = await jsm.streams.info(streamName(0));
    const metadata = { ...config.metadata, [ID_KEY]: id };
    await jsm.streams.update(config.name, { ...config, metadata });
  } catch (error) {
    throw toLogError(error);
  }
}

/** What there is of a stripe. */
export interface StreamState {
  /** Entries after it may be gone too. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly lastStoredAtMs: number;
  readonly bytes: number;
  /** More are refused. */
  readonly bytesMax: number;
}

/**
 * @param timeoutMs instead of the library's 5 s
 * @throws ClusterError LOG_UNAVAILABLE
 */
export async function streamState(
  connection: LogConnection,
  stripe: number,
  timeoutMs?: number,
): Promise<StreamState> {
  try {
    const timeout = timeoutMs === undefined ? {} : { timeout: timeoutMs };
    const jsm = await connection.nc.jetstreamManager({ checkAPI: false, ...timeout });
    const stream = streamName(stripe);
    const { state, config } = await jsm.streams.info(stream);
    const lastStoredAtMs = Date.parse(state.last_ts);
    connection.ends.note(stream, state.last_seq, lastStoredAtMs);
    return {
      firstSequence: state.first_seq,
      lastSequence: state.last_seq,
      lastStoredAtMs,
      bytes: state.bytes,
      bytesMax: config.max_bytes,
    };
  } catch (error) {
    throw toLogError(error);
  }
}

/** Of all stripes; undefined where NATS does not tell within a second. */
export async function logSize(
  connection: LogConnection,
  stripeCount: number,
): Promise<{ readonly bytes: number; readonly bytesMax: number } | undefined> {
  if (!connection.isConnected) return undefined;
  const stripes = Array.from({ length: stripeCount }, (_, stripe) =>
    streamState(connection, stripe, 1_000),
  );
  const states = await Promise.all(stripes).catch(() => undefined);
  return (
    states && {
      bytes: states.reduce((sum, { bytes }) => sum + bytes, 0),
      bytesMax: states.reduce((sum, { bytesMax }) => sum + bytesMax, 0),
    }
  );
}

/**
 * Newest sequence of a stripe.
 * @throws ClusterError LOG_UNAVAILABLE
 */
export async function streamHead(connection: LogConnection, stripe: number): Promise<number> {
  return (await streamState(connection, stripe)).lastSequence;
}

/**
 * Removes the entries of a partition up to a sequence.
 * @throws ClusterError LOG_UNAVAILABLE
 */
export async function trimPartition(
  connection: LogConnection,
  stripeCount: number,
  partition: PartitionId,
  upTo: number,
): Promise<void> {
  try {
    const jsm = await connection.nc.jetstreamManager({ checkAPI: false });
    await jsm.streams.purge(streamName(stripeOf(partition, stripeCount)), {
      filter: trimSubject(partition),
      seq: upTo + 1,
    });
  } catch (error) {
    throw toLogError(error);
  }
}
