import { ConnectionError } from './errors.ts';
import { problemOf } from './problem.ts';
import type { TransportResponse } from './transport.ts';
import { pause } from './waiting.ts';

/** Ceiling of the first pause; it doubles with every try. */
const PAUSE_FIRST_MS = 100;
const PAUSE_MAX_MS = 5_000;
/** A cluster that asks for a longer pause than this is not waited for: the caller decides. */
export const RETRY_AFTER_MAX_MS = 60_000;

interface RetryOptions {
  /** Tries after the first one. */
  readonly retries: number;
  readonly signal: AbortSignal | undefined;
  /** From 0 to 1; Math.random unless a test says otherwise. */
  readonly random?: () => number;
}

/**
 * Repeats a request while no gateway answers or the cluster says "later" (429, 503), with full
 * jitter on top of its Retry-After. Gives the last answer, whatever it is.
 * @throws ConnectionError when there was none, or the reason of the signal
 */
export async function withRetries<T extends TransportResponse>(
  attempt: () => Promise<T>,
  { retries, signal, random = Math.random }: RetryOptions,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    signal?.throwIfAborted();
    const outcome = await attempt().catch(keepConnectionError);
    const retryAfterMs = outcome instanceof ConnectionError ? 0 : (outcome.retryAfterMs ?? 0);
    const again = failures < retries && retryAfterMs <= RETRY_AFTER_MAX_MS && isPassing(outcome);
    if (again) await pause(retryAfterMs + jitterMs(failures, random), signal);
    else if (outcome instanceof ConnectionError) throw outcome;
    else return outcome;
  }
}

/** Whether an answer may come another time. */
export function isPassingFault({ fault }: ConnectionError): boolean {
  return fault === 'unreachable' || fault === 'timeout';
}

/** Full jitter: anywhere from nothing to the doubled ceiling, so that clients do not march in step. */
export function jitterMs(failures: number, random: () => number): number {
  return random() * Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** failures);
}

function keepConnectionError(error: unknown): ConnectionError {
  if (error instanceof ConnectionError) return error;
  throw error;
}

function isPassing(outcome: TransportResponse | ConnectionError): boolean {
  if (outcome instanceof ConnectionError) return isPassingFault(outcome);
  const { status } = outcome;
  return (status === 429 || status === 503) && problemOf(outcome.body).retryable !== false;
}
