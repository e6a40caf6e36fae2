// One connection of a session, from the attempt to its end.

import type { ClusterError } from '@engram/model';
import {
  decodeServerMessage,
  errorOfProblem,
  type OpenedMessage,
  type ServerMessage,
} from '@engram/session';
import { clusterErrorOf } from '../problem.ts';
import type { Socket } from './socket.ts';

export interface LinkEnd {
  /** Whether there was a session. */
  readonly wasOpened: boolean;
  /** What the gateway said was wrong. */
  readonly problem: ClusterError | undefined;
  /** Set when the gateway went away on purpose. */
  readonly reconnectAfterMs: number | undefined;
}

export interface LinkOptions {
  readonly socket: Socket;
  readonly open: string;
  /** A connection that says nothing for so long is given up. */
  readonly silenceMs: number;
  /** Whether an answer is waited for at all. */
  readonly isWaiting: () => boolean;
  readonly onOpened: (opened: OpenedMessage) => void;
  readonly onMessage: (message: ServerMessage) => void;
}

export class Link {
  readonly ended: Promise<LinkEnd>;
  readonly #socket: Socket;
  #isOpened = false;
  #isEnded = false;
  #problem: ClusterError | undefined;
  #reconnectAfterMs: number | undefined;
  #heardAt = performance.now();

  constructor({ socket, open, silenceMs, isWaiting, onOpened, onMessage }: LinkOptions) {
    this.#socket = socket;
    socket.addEventListener('open', () => socket.send(open));
    socket.addEventListener('message', ({ data }) => {
      // Of another connection's credit nothing must be known to the next one.
      if (this.#isEnded) return;
      this.#heardAt = performance.now();
      const message = readMessage(data);
      if (message === undefined) return socket.close();
      if (message.type === 'problem' && message.recall === undefined)
        this.#problem = errorOfProblem(message.problem);
      else if (message.type === 'goaway') this.#reconnectAfterMs = message.reconnectAfterMs;
      else if (message.type === 'opened') {
        this.#isOpened = true;
        return onOpened(message);
      }
      onMessage(message);
    });
    this.ended = new Promise((resolve) => {
      const watch = setInterval(() => {
        const isSilent = performance.now() - this.#heardAt > silenceMs;
        if (isSilent && (!this.#isOpened || isWaiting())) finish();
      }, silenceMs / 4);
      const finish = () => {
        this.#isEnded = true;
        clearInterval(watch);
        socket.close();
        resolve({
          wasOpened: this.#isOpened,
          problem: this.#problem,
          reconnectAfterMs: this.#reconnectAfterMs,
        });
      };
      socket.addEventListener('close', finish);
      // Its close follows. Where the upgrade was refused the text ends with the status.
      socket.addEventListener('error', ({ message = '' }) => {
        const status = /^Unexpected server response: (\d{3})$/.exec(message)?.[1];
        if (status === undefined) return;
        const response = { status: Number(status), retryAfterMs: undefined, body: undefined };
        this.#problem = clusterErrorOf(response, 'GET /v1/stream');
      });
    });
  }

  /** The gateway asked to be sent nothing more. */
  get isGoing(): boolean {
    return this.#reconnectAfterMs !== undefined;
  }

  get isOpened(): boolean {
    return this.#isOpened;
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  close(): void {
    this.#socket.close(1_000);
  }
}

/** Undefined for what no gateway says: somebody else is there. */
function readMessage(data: unknown): ServerMessage | undefined {
  try {
    return decodeServerMessage(String(data));
  } catch {
    return undefined;
  }
}
