// One WebSocket connection: what comes in goes to its session, what the session says goes out.

import { ClusterError } from '@engram/model';
import {
  closeCode,
  decodeClientMessage,
  encodeMessage,
  problemOf,
  type BatchMessage,
  type ClientMessage,
  type Format,
  type OpenMessage,
  type ServerMessage,
} from '@engram/session';
import type { WebSocket } from 'ws';
import { LAPSED } from '../auth/refusal.ts';
import { Session, type SessionContext, type SessionLink } from './session.ts';

/** Who is at the other end. */
export type Caller = Pick<SessionLink, 'caller' | 'principal'>;

type Phase =
  | { readonly kind: 'new' }
  | { readonly kind: 'opening' }
  | { readonly kind: 'open'; readonly session: Session }
  | { readonly kind: 'closed' };

/** Normal closures of RFC 6455. */
const GOING_AWAY = 1_001;
/** Who was told so often that something is wrong does not listen. */
const PROBLEMS_MAX = 100;
/** An `open` that does not come is a client that speaks something else. */
const OPEN_TIMEOUT_MS = 10_000;
const PING_MS = 30_000;
/** Answers that wait for a client to read them; a window of batches has less. */
const BUFFERED_MAX = 4 * 1024 * 1024;

export class Connection {
  readonly #socket: WebSocket;
  readonly #caller: Caller;
  readonly #context: SessionContext;
  #phase: Phase = { kind: 'new' };
  #format: Format = 'json';
  #problems = 0;
  #usedAt: number;
  #pingAt: number;
  #isHeard = true;
  #isDraining = false;

  /** @param onClosed called once */
  constructor(
    socket: WebSocket,
    caller: Caller,
    context: SessionContext,
    onClosed: (self: Connection) => void,
  ) {
    this.#socket = socket;
    this.#caller = caller;
    this.#context = context;
    const now = context.clock.now();
    this.#usedAt = now;
    // Connections that were made at one time are not to be asked at one time.
    this.#pingAt = now + PING_MS * (0.5 + 0.5 * context.random());
    socket.on('message', (data, isBinary) =>
      this.#receive(data as Buffer, isBinary ? 'msgpack' : 'json'),
    );
    socket.on('pong', () => {
      this.#isHeard = true;
    });
    socket.once('close', () => {
      this.#leave();
      onClosed(this);
    });
  }

  get isPaused(): boolean {
    return this.#phase.kind === 'open' && this.#phase.session.isPaused;
  }

  get isOpen(): boolean {
    return this.#phase.kind === 'open';
  }

  /** Looks whether the client is there, and still does something. To be called about every second. */
  check(now: number): void {
    if (this.#phase.kind === 'closed') return;
    if (!this.#caller.principal.isValid()) return this.#dismiss();
    if (now >= this.#pingAt) {
      if (!this.#isHeard) return this.#socket.terminate();
      this.#isHeard = false;
      this.#pingAt = now + PING_MS;
      this.#socket.ping();
    }
    // A recall that its client paused does not count.
    const isWriting = this.#phase.kind === 'open' && this.#phase.session.isWriting;
    const idleMs = this.#phase.kind === 'open' ? this.#context.idleMs : OPEN_TIMEOUT_MS;
    if (!isWriting && now - this.#usedAt >= idleMs)
      this.#fail(
        new ClusterError('SESSION_IDLE', `nothing was sent for ${idleMs} ms`, {
          hint: 'connect again, and resume where there is something to resume',
        }),
      );
  }

  /** Tells the client to go elsewhere, and closes once what it sent is answered. */
  drain(reconnectAfterMs: number): void {
    this.#isDraining = true;
    void this.#send({ type: 'goaway', reason: 'the gateway is draining', reconnectAfterMs });
    this.#closeWhenDrained();
  }

  /** With a new token, or the grants that the key has now, it may come back and resume. */
  #dismiss(): void {
    void this.#send({ type: 'goaway', reason: LAPSED, reconnectAfterMs: 0 });
    this.#leave();
    this.#socket.close(closeCode('UNAUTHENTICATED'), 'UNAUTHENTICATED');
  }

  abort(): void {
    this.#leave();
    this.#socket.close(GOING_AWAY);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #receive(data: Buffer, format: Format): void {
    this.#isHeard = true;
    if (this.#phase.kind === 'closed') return;
    this.#usedAt = this.#context.clock.now();
    if (this.#phase.kind === 'new') this.#format = format;
    let message: ClientMessage;
    try {
      message = decodeClientMessage(format, data);
    } catch (thrown) {
      const error = ClusterError.from(thrown);
      return this.#phase.kind === 'open' ? this.#problem(error) : this.#fail(error);
    }
    if (message.type === 'open') this.#open(message);
    else if (this.#phase.kind === 'open') this.#take(this.#phase.session, message, data);
    else
      this.#fail(
        new ClusterError('SESSION_STATE', `${message.type} came before the session was opened`, {
          hint: 'send open first and wait for opened, which says how much may be sent',
        }),
      );
  }

  #open(message: OpenMessage): void {
    if (this.#phase.kind !== 'new')
      return this.#problem(
        new ClusterError('SESSION_STATE', 'the session is open', {
          hint: 'a connection has one session; open another connection for another space',
        }),
      );
    this.#phase = { kind: 'opening' };
    void this.#start(message);
  }

  async #start(message: OpenMessage): Promise<void> {
    try {
      const session = await Session.open(message, this.#context, {
        ...this.#caller,
        send: (sent) => this.#send(sent),
        pauseReading: () => this.#socket.pause(),
        resumeReading: () => this.#socket.resume(),
        onAnswered: () => this.#closeWhenDrained(),
      });
      if (this.#phase.kind !== 'opening') return session.close();
      this.#phase = { kind: 'open', session };
      void this.#send(session.opened);
    } catch (thrown) {
      this.#fail(ClusterError.from(thrown));
    }
  }

  #take(session: Session, message: Exclude<ClientMessage, OpenMessage>, data: Buffer): void {
    try {
      if (message.type === 'batch') this.#offer(session, message, data);
      else if (message.type === 'recall') session.recalls.start(message);
      else session.recalls.control(message);
    } catch (thrown) {
      const about = message.type === 'batch' ? { seq: message.seq } : { recall: message.recall };
      this.#problem(ClusterError.from(thrown), about);
    }
  }

  #offer(session: Session, message: BatchMessage, data: Buffer): void {
    const error = session.offer(message, data);
    if (error === undefined) return;
    if (error.code === 'CREDIT_EXCEEDED') this.#fail(error, { seq: message.seq });
    else this.#problem(error, { seq: message.seq });
  }

  #problem(error: ClusterError, about: { seq?: number; recall?: string } = {}): void {
    void this.#send({ type: 'problem', problem: problemOf(error), ...about });
    if (++this.#problems < PROBLEMS_MAX) return;
    this.#leave();
    this.#socket.close(closeCode('INVALID_BODY'), 'too many problems');
  }

  #fail(error: ClusterError, about: { seq?: number } = {}): void {
    if (this.#phase.kind === 'closed') return;
    if (error.status >= 500 && error.retry === 'never')
      this.#context.logger.error({ err: error }, 'a session failed');
    void this.#send({ type: 'problem', problem: problemOf(error), ...about });
    this.#leave();
    this.#socket.close(closeCode(error.code), error.code);
  }

  /** Resolves once the socket has taken it, or is gone. */
  #send(message: ServerMessage): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.readyState !== this.#socket.OPEN) resolve();
      else if (this.#socket.bufferedAmount > BUFFERED_MAX) {
        // It sends, and does not read what is answered.
        this.#socket.terminate();
        resolve();
      } else this.#socket.send(encodeMessage(this.#format, message), () => resolve());
    });
  }

  #closeWhenDrained(): void {
    if (!this.#isDraining) return;
    // What is paused will not be taken here in time: the client has it, and sends it to the next one.
    const isDone =
      this.#phase.kind !== 'open' || !this.#phase.session.isBusy || this.#phase.session.isPaused;
    if (isDone) this.abort();
  }

  #leave(): void {
    if (this.#phase.kind === 'open') this.#phase.session.close();
    this.#phase = { kind: 'closed' };
  }
}
