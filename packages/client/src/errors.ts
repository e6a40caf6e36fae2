import { ClusterError } from '@engram/model';
import type { PutOptions, PutResult } from './types.ts';

/**
 * Why no answer came: the connection failed, none came in time, the server's certificate is not trusted, or
 * what answered is no gateway.
 */
export type ConnectionFault = 'unreachable' | 'timeout' | 'untrusted' | 'no-gateway';

/** No gateway answered. Whether a request was carried out is then unknown. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  readonly fault: ConnectionFault;
  /** The urls that were tried, in that order. */
  readonly urls: readonly string[];

  constructor(fault: ConnectionFault, urls: readonly string[], cause: unknown) {
    const where = urls.length === 0 ? 'what answers' : urls.join(', ');
    const why = fault === 'untrusted' || fault === 'no-gateway' ? `: ${messageOf(cause)}` : '';
    super(`${where} ${WHY[fault]}${why}`, { cause });
    this.fault = fault;
    this.urls = urls;
  }
}

const WHY: Readonly<Record<ConnectionFault, string>> = {
  unreachable: 'cannot be reached',
  timeout: 'did not answer in time',
  untrusted: 'shows a certificate that is not trusted',
  'no-gateway': 'is no gateway of Engram',
};

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Some observations of a batch were refused; the others are stored. */
export class PartialFailure extends Error {
  override readonly name = 'PartialFailure';
  readonly result: PutResult;

  constructor(result: PutResult) {
    const { accepted, rejected, errors } = result;
    const [first] = errors;
    const why = first === undefined ? '' : `: ${first.code} at ${first.index}, ${first.detail}`;
    super(`${rejected} of ${accepted + rejected} observations were refused${why}`);
    this.result = result;
  }
}

/**
 * The result, where nothing was refused or the caller wants it told there.
 * @param problem what the cluster said of a refusal of all, if it did
 * @throws PartialFailure; when all were refused the problem, else ClusterError NOTHING_ACCEPTED with
 *   the PartialFailure as its cause
 */
export function judged(
  result: PutResult,
  onPartial: NonNullable<PutOptions['onPartial']> = 'throw',
  problem?: ClusterError,
): PutResult {
  if (result.rejected === 0 || onPartial === 'return') return result;
  const failure = new PartialFailure(result);
  if (result.accepted > 0) throw failure;
  throw problem ?? new ClusterError('NOTHING_ACCEPTED', failure.message, { cause: failure });
}
