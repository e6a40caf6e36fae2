// Brings one batch into the cluster, in as many pieces and tries as that takes.

import { ClusterError, type Observation } from '@engram/model';
import { ConnectionError } from '../errors.ts';
import { isPassingFault, jitterMs, RETRY_AFTER_MAX_MS } from '../retry.ts';
import type { PutOptions, PutResult } from '../types.ts';
import { pause } from '../waiting.ts';
import type { BatchSize } from './batch-size.ts';
import type { Row } from './batch.ts';
import type { Acknowledged, Rejected } from './options.ts';

export type Put = (
  observations: readonly Observation[],
  options: Pick<PutOptions, 'requestId' | 'signal'>,
) => Promise<PutResult>;

export interface DeliveryOptions {
  readonly put: Put;
  readonly size: BatchSize;
  readonly retryForMs: number;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** Told when the cluster asks to wait, and when that is over. */
  readonly onWaiting: (isWaiting: boolean) => void;
  readonly onRejected: (rejected: readonly Rejected[]) => void;
}

/**
 * @param left the rows that are not acknowledged yet; those that are leave it
 * @throws what cannot be repeated, or was for too long; the signal's reason
 */
export async function deliver(left: Row[], options: DeliveryOptions): Promise<Acknowledged> {
  let total: Acknowledged = { accepted: 0, rejected: 0 };
  let giveUpAtMs = performance.now() + options.retryForMs;
  while (left.length > 0) {
    const piece = left.slice(0, options.size.value).map(({ observation }) => observation);
    const result = await putPiece(piece, giveUpAtMs, options);
    if (result === undefined) continue;
    left.splice(0, piece.length);
    giveUpAtMs = performance.now() + options.retryForMs;
    const { accepted, rejected, position, ack } = result;
    total = {
      ...total,
      accepted: total.accepted + accepted,
      rejected: total.rejected + rejected,
      ...(position === undefined ? {} : { position }),
      ...(ack === undefined ? {} : { ack }),
    };
    if (rejected > 0)
      options.onRejected(
        result.errors.flatMap((error) => {
          const observation = piece[error.index];
          return observation === undefined ? [] : [{ observation, error }];
        }),
      );
  }
  return total;
}

/** Undefined where it has to go in smaller ones. */
async function putPiece(
  piece: readonly Observation[],
  giveUpAtMs: number,
  { put, size, random, signal, onWaiting }: DeliveryOptions,
): Promise<PutResult | undefined> {
  // The same through all tries, so that one whose answer was lost is stored once.
  const requestId = crypto.randomUUID();
  for (let failures = 0; ; failures++) {
    try {
      const result = await put(piece, { requestId, signal });
      size.taken(piece.length);
      return result;
    } catch (error) {
      signal.throwIfAborted();
      if (!isPassing(error) || performance.now() >= giveUpAtMs) throw error;
      const { retryAfterMs, batchMax } = told(error);
      const isRefused = error instanceof ClusterError && error.code === 'BACKPRESSURE';
      if (isRefused) size.refused(batchMax);
      onWaiting(true);
      try {
        // Not beyond its own patience, whatever it is told.
        const patienceMs = Math.max(0, giveUpAtMs - performance.now());
        const waitMs = Math.min(retryAfterMs, patienceMs, RETRY_AFTER_MAX_MS);
        await pause(waitMs + jitterMs(failures, random), signal);
      } finally {
        onWaiting(false);
      }
      if (isRefused && size.value < piece.length) return undefined;
    }
  }
}

function isPassing(error: unknown): boolean {
  if (error instanceof ConnectionError) return isPassingFault(error);
  return error instanceof ClusterError && error.retry !== 'never';
}

function told(error: unknown): { retryAfterMs: number; batchMax: number | undefined } {
  const details = error instanceof ClusterError ? error.details : {};
  const { retryAfterMs, batchMax } = details;
  return {
    retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : 0,
    batchMax: typeof batchMax === 'number' ? batchMax : undefined,
  };
}
