import { logAway, logFull, refusalError } from '@engram/admission';
import { ClusterError } from '@engram/model';
import { ErrorCode, NatsError } from 'nats';

/** "maximum bytes/messages exceeded", and the resource limits of the account or the server. */
const FULL = new Set([10_077, 10_047, 10_023, 10_002, 10_028]);

/** What a failed call to NATS means to a caller. */
export function toLogError(error: unknown): ClusterError {
  if (error instanceof ClusterError) return error;
  if (error instanceof NatsError) {
    const code = error.api_error?.err_code;
    if (code !== undefined && FULL.has(code)) return refusalError(logFull(Math.random), error);
    const isLate = error.code === String(ErrorCode.Timeout);
    const detail = isLate ? 'did not answer in time' : `says: ${error.message}`;
    return refusalError(logAway(`nats-server ${detail}`, Math.random), error);
  }
  return refusalError(logAway('the log cannot be reached', Math.random), error);
}

/** The same, of an entry that was to be stored. */
export function toPublishError(error: unknown): ClusterError {
  const known = toLogError(error);
  if (known.code !== 'LOG_UNAVAILABLE' || !(error instanceof NatsError)) return known;
  return refusalError(
    {
      ...logAway('the log did not take the entry', Math.random),
      hint: 'whether it is stored is not known; send it again with the same Idempotency-Key',
    },
    error,
  );
}

/** Whether JetStream refused a call for this reason of its own. */
function hasReason(error: unknown, reason: number): boolean {
  return error instanceof NatsError && error.api_error?.err_code === reason;
}

/** What was expected to be the last of its subject is not. */
export function isWrongLastSequence(error: unknown): boolean {
  return hasReason(error, 10_071);
}

export function isStreamNotFound(error: unknown): boolean {
  return hasReason(error, 10_059);
}

export function isMessageNotFound(error: unknown): boolean {
  return hasReason(error, 10_037);
}

/** The servers of a log in several copies have not all found each other, or elect a leader: no peers, none available. */
const NOT_YET = new Set([10_004, 10_005, 10_008, 10_009]);

/** Whether JetStream may answer the same call soon, without anybody doing anything. */
export function isNotYetReady(error: unknown): boolean {
  const cause = error instanceof ClusterError ? error.cause : error;
  if (isTimeout(cause) || isNoResponders(cause)) return true;
  const code = cause instanceof NatsError ? cause.api_error?.err_code : undefined;
  return code !== undefined && NOT_YET.has(code);
}

function isOutOfStorage(error: unknown): boolean {
  return hasReason(error, 10_047);
}

/** What a stream or a bucket that cannot be made means; other errors as they are. */
export function storageError(error: unknown, what: string): unknown {
  if (!isOutOfStorage(error)) return error;
  return new ClusterError('LOG_FULL', `nats-server has not enough storage for ${what}`, {
    cause: error,
    hint: 'it needs ENGRAM_LOG_BYTES_MAX, an eighth of that for dead letters and 256 MiB for idempotency keys: make room on its disk, or lower the setting',
  });
}

export function isTimeout(error: unknown): boolean {
  return error instanceof NatsError && error.code === (ErrorCode.Timeout as string);
}

export function isNoResponders(error: unknown): boolean {
  return error instanceof NatsError && error.code === (ErrorCode.NoResponders as string);
}
