// Every failure over HTTP is RFC 9457 problem+json with the members of the error table.

import { CONTENT_TYPES } from '@engram/codec';
import {
  ClusterError,
  ERRORS,
  pointerStep,
  type ErrorCode,
  type ErrorDetails,
  type ItemError,
} from '@engram/model';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';

/** Of a header that is repeated in an answer. */
const TYPE_CHARS_MAX = 100;
const PROBLEM_TYPE = 'application/problem+json';
/** After which a retry has a chance, where nothing better is known: a partition changes its owner. */
const RETRY_AFTER_MS = 2_000;
/** More failures of one batch than this are counted, not listed. */
export const LISTED_ERRORS_MAX = 100;

interface Problem {
  readonly code: ErrorCode;
  readonly status: number;
  readonly detail: string;
  readonly pointer?: string | undefined;
  readonly hint?: string | undefined;
  readonly members?: Readonly<Record<string, unknown>> & { readonly details?: ErrorDetails };
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const { status } = problem;
  if (status === 429 || status === 503 || status === 507) {
    const { retryAfterMs = RETRY_AFTER_MS } = (problem.members?.details ?? {}) as {
      readonly retryAfterMs?: number;
    };
    void reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1_000))));
  }
  const challenge = challengeOf(problem);
  if (challenge !== undefined) void reply.header('www-authenticate', challenge);
  return reply.code(status).type(PROBLEM_TYPE).send(documentOf(problem));
}

/** RFC 6750: how one says who one is, and what was wrong with what was said. */
function challengeOf({ code, members }: Problem): string | undefined {
  if (code === 'FORBIDDEN') return 'Bearer realm="engram", error="insufficient_scope"';
  if (code !== 'UNAUTHENTICATED') return undefined;
  return members?.details?.['reason'] === 'missing'
    ? 'Bearer realm="engram"'
    : 'Bearer realm="engram", error="invalid_token"';
}

/** What a gateway that goes away says. */
export function draining(): ClusterError {
  return new ClusterError('SHUTTING_DOWN', 'the gateway is draining', {
    hint: 'ask another gateway, or this one once it is back',
  });
}

/** A type that is not accepted; hints name those that are. */
export function unknownType(
  contentType: string | undefined,
  options: { readonly cause?: unknown; readonly hint?: string },
): ClusterError {
  const what =
    contentType === undefined || contentType === ''
      ? 'the body has no content type'
      : `the content type ${contentType.slice(0, TYPE_CHARS_MAX)} is not known here`;
  return new ClusterError('UNSUPPORTED_MEDIA_TYPE', what, {
    ...options,
    pointer: '#content-type',
  });
}

/** The body of an answer; the order of its members is the same everywhere. */
export function documentOf({ code, status, detail, pointer, hint, members }: Problem) {
  return {
    type: `/problems/${code}`,
    title: ERRORS[code].title,
    status,
    detail,
    code,
    retryable: ERRORS[code].retry !== 'never',
    ...(pointer === undefined ? {} : { errors: [{ pointer, detail }] }),
    ...(hint === undefined ? {} : { hint }),
    ...members,
  };
}

/** The answer to a batch of which nothing was stored. */
export function sendRefusedBatch(
  reply: FastifyReply,
  space: string,
  errors: readonly ItemError[],
  total: number,
): FastifyReply {
  const first = errors[0];
  const code = errors.every((error) => error.code === first?.code) ? first?.code : undefined;
  const place = first?.line === undefined ? `index ${first?.index ?? 0}` : `line ${first.line}`;
  const name = first?.id === undefined ? '' : ` (id ${JSON.stringify(first.id)})`;
  return sendProblem(reply, {
    code: code ?? 'NOTHING_ACCEPTED',
    status: 422,
    detail: `space ${space}: ${errors.length} of ${total} observations refused, first at ${place}${name}: ${first?.detail ?? ''}`,
    hint:
      code === 'DIMENSION_MISMATCH'
        ? 'embed with the model of this space, or create a space for this one: PUT /v1/spaces/{space} {"dimension": N}'
        : errors.length < total
          ? 'atomic=true: one refused observation refuses all of them'
          : undefined,
    members: {
      accepted: 0,
      rejected: errors.length,
      errors: errors.slice(0, LISTED_ERRORS_MAX),
      errorsTruncated: errors.length > LISTED_ERRORS_MAX,
    },
  });
}

/** Maps whatever was thrown, by us or by fastify, to one dialect. */
export function handleError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  return sendProblem(reply, toProblem(error, request));
}

/** The same document for an answer that has begun already. */
export function problemDocument(error: unknown, request: FastifyRequest): object {
  return documentOf(toProblem(error, request));
}

/** What is our own fault is logged. */
function toProblem(error: unknown, request: FastifyRequest): Problem {
  const known = toClusterError(error as FastifyError | ClusterError, request);
  if (known.status >= 500 && known.retry === 'never')
    request.log.error({ err: error }, 'request failed');
  const { code, status, message, pointer, hint, details } = known;
  const members = Object.keys(details).length === 0 ? {} : { details };
  return { code, status, detail: message, pointer, hint, members };
}

/** Observations come in many types, everything else as JSON (`bodies.ts`). */
function typesOf({ routeOptions }: FastifyRequest): string {
  return routeOptions.url?.endsWith('/observations') === true
    ? `one of ${Object.values(CONTENT_TYPES).join(', ')}`
    : CONTENT_TYPES.json;
}

function toClusterError(error: FastifyError | ClusterError, request: FastifyRequest): ClusterError {
  if (error instanceof ClusterError) return error;
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ClusterError(
        'BODY_TOO_LARGE',
        `the body is larger than ${request.routeOptions.bodyLimit ?? 0} bytes`,
        {
          cause: error,
          hint: 'send smaller batches, or embeddings as base64 of float32: a third of the size',
        },
      );
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return unknownType(request.headers['content-type'], {
        cause: error,
        hint: `send ${typesOf(request)}`,
      });
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new ClusterError('INVALID_BODY', 'the body is not as long as content-length says', {
        cause: error,
      });
    case 'FST_ERR_MAX_PARAM_LENGTH':
    case 'FST_ERR_BAD_URL':
      return new ClusterError('INVALID_PARAMETER', 'the URL is not well-formed', { cause: error });
    case 'FST_ERR_VALIDATION':
      return validationError(error);
    default:
      return unforeseen(error, request);
  }
}

/** Of the library's own errors those that are the caller's fault are not ours. */
function unforeseen(error: FastifyError | undefined, { raw }: FastifyRequest): ClusterError {
  if (raw.destroyed && !raw.complete)
    return new ClusterError('REQUEST_TIMEOUT', 'the client went away', { cause: error });
  const { statusCode = 500, message = '' }: Partial<FastifyError> = error ?? {};
  if (statusCode < 400 || statusCode > 499) return ClusterError.from(error);
  const code = statusCode === 403 || statusCode === 404 ? 'ROUTE_NOT_FOUND' : 'INVALID_PARAMETER';
  return new ClusterError(code, message, { cause: error });
}

/** What the first fault of a validation says; `cause` is what threw it. */
export function validationError(
  error: Pick<FastifyError, 'validation' | 'validationContext'>,
): ClusterError {
  const fault = error.validation?.[0];
  const isBody = error.validationContext === 'body';
  const params = fault?.params as Readonly<Record<string, unknown>> | undefined;
  const name = params?.['additionalProperty'] ?? params?.['missingProperty'];
  const field = `${fault?.instancePath ?? ''}${typeof name === 'string' ? pointerStep(name) : ''}`;
  const allowed = params?.['allowedValues'];
  const choices = Array.isArray(allowed) ? `: ${allowed.join(', ')}` : '';
  const what =
    fault?.keyword === 'additionalProperties'
      ? 'is not a field'
      : fault?.keyword === 'required'
        ? 'is missing'
        : `${fault?.message ?? 'is not valid'}${choices}`;
  const where = field === '' ? 'the body' : field.slice(1).replaceAll('/', '.');
  return new ClusterError(isBody ? 'INVALID_BODY' : 'INVALID_PARAMETER', `${where} ${what}`, {
    pointer: isBody ? field : `#${field.slice(1)}`,
    cause: error,
  });
}
