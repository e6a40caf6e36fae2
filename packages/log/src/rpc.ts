import { decodeWire, encodeWire } from '@engram/codec';
import { ClusterError, type MemberId, type WireError } from '@engram/model';
import type { Logger } from '@engram/runtime';
import { TRACEPARENT } from '@engram/tracing';
import { headers, type Msg, type MsgHdrs, type Subscription } from 'nats';
import type { LogConnection } from './connection.ts';
import { isNoResponders, isTimeout } from './errors.ts';
import { headersOf } from './log-message.ts';

/** What a member answers: the method's result, or the error in its wire form. */
type Reply = { readonly ok: unknown } | { readonly error: WireError };

/** @param traceparent of the trace that the question belongs to */
export type RpcMethod = (request: unknown, traceparent?: string) => Promise<unknown>;

const subjectOf = (member: MemberId, method: string) => `engram.rpc.${member}.${method}`;

/** Answers requests to one member. Subjects name the member here: a question has one addressee. */
export class RpcServer implements AsyncDisposable {
  readonly #subscription: Subscription;
  readonly #running = new Set<Promise<void>>();

  constructor(
    connection: LogConnection,
    member: MemberId,
    methods: Readonly<Record<string, RpcMethod>>,
    logger: Logger,
  ) {
    const prefix = subjectOf(member, '');
    const bytesMax = connection.nc.info?.max_payload ?? 1024 * 1024;
    this.#subscription = connection.nc.subscribe(`${prefix}*`, {
      callback: (error, msg) => {
        if (error !== null) {
          logger.error({ err: error }, 'rpc subscription');
          return;
        }
        const run = answer(methods[msg.subject.slice(prefix.length)], msg, logger)
          .then((reply) => void msg.respond(encodeReply(reply, bytesMax)))
          .catch((cause: unknown) => logger.warn({ err: cause }, 'an answer was not sent'))
          .finally(() => this.#running.delete(run));
        this.#running.add(run);
      },
    });
  }

  /** Takes no more requests and finishes those it has. */
  async close(): Promise<void> {
    if (!this.#subscription.isClosed()) this.#subscription.unsubscribe();
    await Promise.all(this.#running);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** One message has a limit; an answer beyond it is an error at once, rather than no answer at all. */
function encodeReply(reply: Reply, bytesMax: number): Uint8Array {
  const bytes = encodeWire(reply);
  if (bytes.length <= bytesMax) return bytes;
  const error = new ClusterError(
    'ANSWER_TOO_LARGE',
    `the answer has ${bytes.length} bytes, ${bytesMax} are allowed`,
    { hint: 'ask for a smaller k, or include less: metadata and embeddings weigh the most' },
  );
  return encodeWire({ error: error.toJSON() } satisfies Reply);
}

async function answer(
  method: RpcMethod | undefined,
  msg: Pick<Msg, 'data' | 'headers'>,
  logger: Logger,
): Promise<Reply> {
  try {
    if (method === undefined) throw new ClusterError('ROUTE_NOT_FOUND', 'there is no such method');
    const traceparent = headersOf(msg)?.get(TRACEPARENT) || undefined;
    return { ok: await method(decodeWire(msg.data), traceparent) };
  } catch (error) {
    const failure = ClusterError.from(error);
    if (failure.code === 'INTERNAL') logger.error({ err: error }, 'rpc failed');
    return { error: failure.toJSON() };
  }
}

/**
 * Asks a member.
 * @throws ClusterError the member's own error; PARTITION_UNAVAILABLE when it is gone or silent;
 *   LOG_UNAVAILABLE when NATS itself is away
 */
export async function request(
  connection: LogConnection,
  member: MemberId,
  method: string,
  body: unknown,
  timeoutMs: number,
  traceparent?: string,
): Promise<unknown> {
  if (!connection.isConnected)
    throw new ClusterError('LOG_UNAVAILABLE', 'the shards cannot be reached: NATS is away');
  let data: Uint8Array;
  try {
    const options = {
      timeout: Math.max(1, timeoutMs),
      ...(traceparent !== undefined && { headers: traceHeaders(traceparent) }),
    };
    ({ data } = await connection.nc.request(subjectOf(member, method), encodeWire(body), options));
  } catch (cause) {
    if (isNoResponders(cause) || isTimeout(cause))
      throw new ClusterError('PARTITION_UNAVAILABLE', `${member} does not answer`, { cause });
    throw new ClusterError('LOG_UNAVAILABLE', 'the shards cannot be reached', { cause });
  }
  const reply = decodeWire(data) as Reply;
  if ('error' in reply) throw ClusterError.fromWire(reply.error);
  return reply.ok;
}

function traceHeaders(traceparent: string): MsgHdrs {
  const head = headers();
  head.set(TRACEPARENT, traceparent);
  return head;
}

/** Tells a member something that needs no answer; it may get lost. */
export function tell(
  connection: LogConnection,
  member: MemberId,
  method: string,
  body: unknown,
): void {
  if (connection.isConnected) connection.nc.publish(subjectOf(member, method), encodeWire(body));
}
