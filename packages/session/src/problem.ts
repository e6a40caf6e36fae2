import { ClusterError, ERRORS, isErrorCode, type ErrorCode } from '@engram/model';
import type { WireProblem } from './message.ts';

/** The close code of a failure that ends the connection: 4000 and its HTTP status. */
export function closeCode(code: ErrorCode): number {
  return 4_000 + ERRORS[code].status;
}

export function problemOf(error: ClusterError): WireProblem {
  const { code, status, message, retry, pointer, hint, details } = error;
  return {
    code,
    status,
    detail: message,
    retryable: retry !== 'never',
    ...(pointer === undefined ? {} : { pointer }),
    ...(hint === undefined ? {} : { hint }),
    ...(Object.keys(details).length === 0 ? {} : { details }),
  };
}

export function errorOfProblem(problem: WireProblem): ClusterError {
  const { code, detail, pointer, hint, details } = problem;
  const known = isErrorCode(code) ? code : 'INTERNAL';
  return new ClusterError(known, detail, {
    ...(pointer === undefined ? {} : { pointer }),
    ...(hint === undefined ? {} : { hint }),
    ...(details === undefined ? {} : { details }),
  });
}
