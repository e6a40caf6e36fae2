import type { AckLevel, Lane } from '@engram/model';
import type { CallOptions, PutOptions, PutResult } from '../types.ts';

export interface SessionOptions {
  readonly space: string;
  /** How far a batch must be before it is acknowledged; default `logged`. */
  readonly ack?: AckLevel;
  /** How long the cluster may wait for that before it acknowledges with less; default 5 000. */
  readonly ackTimeoutMs?: number;
  /** Lane of the observations that name none. */
  readonly lane?: Lane;
  /** All or nothing of what is sent at once. */
  readonly atomic?: boolean;
  /** Of batches that are not acknowledged; with more a call waits. Default 16 MiB. */
  readonly bufferBytesMax?: number;
  /**
   * Without a connection for so long the session fails. Default 120 000: the log recognises what is sent
   * again for two minutes.
   */
  readonly giveUpAfterMs?: number;
  /** Told when the cluster asks for a slower pace or takes nothing, and when that is over (undefined). */
  readonly onPace?: (pace: SessionPace | undefined) => void;
}

/** Why a session is slow. */
export interface SessionPace {
  readonly state: 'slow' | 'paused';
  /** `lag`, `memory`, `stalled`, `backlog` or a code of an error. */
  readonly reason: string;
  readonly detail: string;
}

export type SessionPutOptions = CallOptions & Pick<PutOptions, 'onPartial'>;

/** Observations that the session has taken and will deliver. */
export interface Sent {
  /**
   * Their outcome. Rejections count as handled: who only sends hears of a failure by the next call.
   * @throws PartialFailure, ClusterError and ConnectionError as of `put`
   */
  readonly acknowledged: Promise<PutResult>;
}
