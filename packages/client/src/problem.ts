import {
  ClusterError,
  isErrorCode,
  type ErrorCode,
  type ErrorDetails,
  type ItemError,
} from '@engram/model';
import { ConnectionError } from './errors.ts';
import type { TransportResponse } from './transport.ts';
import type { Problem } from './types.ts';

const NOT_THERE = new Set([404, 405, 501]);

/** Whether an answer is what was asked for, and no problem. */
export function isOk(status: number): boolean {
  return status >= 200 && status < 300;
}

/** The body as a problem; empty when it is something else. */
export function problemOf(body: unknown): Problem {
  return isObject(body) ? body : {};
}

/** What a problem says in numbers and names; empty when it says nothing. */
export function detailsOf(body: unknown): ErrorDetails {
  const { details } = problemOf(body);
  if (!isObject(details)) return {};
  return Object.fromEntries(Object.entries(details).filter(isDetail));
}

function isDetail(entry: [string, unknown]): entry is [string, ErrorDetails[string]] {
  const [, value] = entry;
  if (Array.isArray(value)) return value.every((each) => typeof each === 'string');
  return ['string', 'number', 'boolean'].includes(typeof value);
}

/** What an answer that is not a success says, or that no gateway gave it. */
export function errorOf(
  response: TransportResponse,
  asked: string,
): ClusterError | ConnectionError {
  const { status, body } = response;
  // A gateway says what it does not have, and a proxy in between passes that on.
  if (!NOT_THERE.has(status) || typeof problemOf(body).code === 'string')
    return clusterErrorOf(response, asked);
  return new ConnectionError('no-gateway', [], new Error(`it answers ${status} to ${asked}`));
}

/** Rebuilds the cluster's error from an answer that is not a success. */
export function clusterErrorOf(response: TransportResponse, asked: string): ClusterError {
  const problem = problemOf(response.body);
  const code = isErrorCode(problem.code) ? problem.code : codeOfStatus(response.status);
  const [first] = Array.isArray(problem.errors) ? (problem.errors as unknown[]) : [];
  const pointer = isObject(first) && typeof first['pointer'] === 'string' ? first['pointer'] : '';
  // Any server may have answered.
  const isTold = typeof problem.detail === 'string';
  const nobody = `${asked} was answered ${response.status}, and not by a gateway: by what stands before it`;
  const detail = isTold ? problem.detail : nobody;
  return new ClusterError(code, detail, {
    ...(pointer === '' ? {} : { pointer }),
    ...(typeof problem.hint === 'string' ? { hint: problem.hint } : {}),
    details: {
      ...detailsOf(response.body),
      status: response.status,
      ...(response.retryAfterMs === undefined ? {} : { retryAfterMs: response.retryAfterMs }),
    },
  });
}

/** The error of a stream that has begun with a success. */
export function errorOfProblem(body: unknown, asked: string): ClusterError {
  const { status } = problemOf(body);
  const told = typeof status === 'number' ? status : 500;
  return clusterErrorOf({ status: told, retryAfterMs: undefined, body }, asked);
}

/** The errors of an answer that name a place in the batch. */
export function itemErrorsOf(body: unknown): ItemError[] {
  const { errors } = problemOf(body);
  return Array.isArray(errors) ? errors.filter(isItemError) : [];
}

function isItemError(value: unknown): value is ItemError {
  return isObject(value) && Number.isInteger(value['index']) && typeof value['code'] === 'string';
}

/** A proxy in between knows no codes: the nearest one that keeps the retry class right. */
function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case 401:
      return 'UNAUTHENTICATED';
    case 403:
      return 'FORBIDDEN';
    case 404:
      return 'ROUTE_NOT_FOUND';
    case 408:
    case 504:
      return 'REQUEST_TIMEOUT';
    case 413:
      return 'BODY_TOO_LARGE';
    case 429:
      return 'BACKPRESSURE';
    case 502:
    case 503:
      return 'SHUTTING_DOWN';
    default:
      return 'INTERNAL';
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
