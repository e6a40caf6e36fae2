// Reads some subjects of a stream from a sequence on, in order and without a gap.
//
//   D1. Every matching entry from `startSequence` on is delivered once, in ascending sequence.
//   D2. No more is pulled than `room` allows, in messages and in bytes.
//   D3. Whatever happens to the consumer or the connection, the feed goes on from the entry after
//       the last one it delivered.
//   D4. Entries of other subjects are passed over, wherever they come from.
//
// What is complete is told from how far the server has read the log for the consumer, and never from its
// count of what is pending: that counts an entry some time after the log has it, and is wrong after a purge.
//
// The consumer acknowledges nothing: what has been applied is known from the watermark, never from
// the server, whose consumer state a killed nats-server forgets. The library's own `consume()`
// bounds a pull by messages or by bytes, not by both, and overruns its pending limit on large ones.
//
// nats-server 2.10 has been seen to pass over entries that match one of several filters, some seconds after
// it was killed: each look goes through what it knows of subjects, which is not always what the log has. It
// is slow, too: 7,000 small entries took it 13 s, and 0.1 s without. So a feed that is behind reads all of
// the stream without a filter, and passes over what is not its own; a replay never does anything else.

import { LANES } from '@engram/model';
import { Repeater, type Clock, type Logger } from '@engram/runtime';
import {
  AckPolicy,
  createInbox,
  DeliverPolicy,
  nanos,
  NatsError,
  type JetStreamManager,
  type Msg,
  type Subscription,
} from 'nats';
import { parseAckSubject } from './ack-subject.ts';
import type { LogConnection } from './connection.ts';
import { readHeaders, type LogMessage } from './log-message.ts';
import { parseSubject } from './subjects.ts';
import { Waiting } from './waiting.ts';

export interface Room {
  readonly messages: number;
  readonly bytes: number;
}

/** When the server is to look for the subjects of a feed; otherwise the feed looks itself, at everything. */
export type Filtered = 'always' | 'when-caught-up' | 'never';

export interface FeedOptions {
  readonly stripe: number;
  readonly stream: string;
  readonly subjects: readonly string[];
  readonly startSequence: number;
  readonly filtered: Filtered;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What the receiver can still take; what is under way is already subtracted by the feed. */
  readonly room: () => Room;
  readonly onMessage: (message: LogMessage) => void;
}

/** No message is larger than this, so a pull of at least as many bytes always gets one. */
const MESSAGE_BYTES_MAX = 1024 * 1024 + 64 * 1024;
const PULL_MESSAGES_MAX = 512;
const PULL_BYTES_MAX = 8 * 1024 * 1024;
const PULLS_MAX = 2; // the next one is under way while the first is still being filled
const PULL_EXPIRES_MS = 10_000;
const HEARTBEAT_MS = 1_000;
/** Until the server has surely read on for a pull that it need not answer. */
const NUDGE_MS = 100;
const NUDGE = 'nudge';
const WATCH_MS = 500;
/** Entries that wait, of its own, at which a feed goes on without a filter. */
const BEHIND_MIN = 2_048;
/** The server forgets a consumer that nobody pulled from for so long. */
const INACTIVE_THRESHOLD_MS = 60_000;

interface Pull {
  messages: number;
  bytes: number;
}

interface Consumer {
  readonly name: string;
  readonly inbox: string;
  readonly subscription: Subscription;
  readonly pulls: Map<string, Pull>;
  /** Whether it reads without a filter. */
  readonly isWide: boolean;
  /** Entries that waited behind the last one delivered, as the server told with it. */
  pending: number;
  /** The consumer sequence that must come next; another one is a gap. */
  nextDelivery: number;
  heardAtMs: number;
  nudgedAtMs: number;
}

export class LogFeed implements AsyncDisposable {
  readonly #connection: LogConnection;
  readonly #options: FeedOptions;
  readonly #watch: Repeater;
  readonly #unlisten: () => void;
  /** `partition.lane` of what the feed is for (D4). */
  readonly #wanted: ReadonlySet<string>;
  readonly #waiting = new Waiting();
  #jsm: JetStreamManager | undefined;
  #consumer: Consumer | undefined;
  #lastSequence: number;
  #pullCount = 0;
  #isClosed = false;
  #resetCount = 0;
  /** All has been read without a filter. */
  #hasCaughtUp = false;

  private constructor(connection: LogConnection, options: FeedOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#lastSequence = options.startSequence - 1;
    this.#wanted = new Set(
      options.subjects.flatMap((subject) => {
        const [, partition = '', lane] = subject.split('.');
        return (lane === '*' ? LANES : [lane]).map((each) => `${partition}.${each}`);
      }),
    );
    this.#unlisten = connection.onReconnect(() => this.#reset('reconnected'));
    this.#watch = new Repeater({
      clock: options.clock,
      intervalMs: WATCH_MS,
      run: () => this.#ensureConsumer(),
      onError: (error) => options.logger.warn({ err: error, stream: options.stream }, 'feed'),
    });
  }

  /** Never fails on an absent server: the feed begins when it can. */
  static start(connection: LogConnection, options: FeedOptions): LogFeed {
    return new LogFeed(connection, options);
  }

  /** Sequence of the last entry delivered. */
  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** Its own entries that wait in the log. */
  get waiting(): number {
    return this.#waiting.value;
  }

  get resetCount(): number {
    return this.#resetCount;
  }

  /**
   * The sequence up to which every matching entry has been delivered, and how many wait behind it.
   * Undefined while the server cannot tell.
   */
  async progress(): Promise<{ completeTo: number; pending: number } | undefined> {
    const consumer = this.#consumer;
    if (consumer === undefined || !this.#connection.isConnected) return undefined;
    const { stream } = this.#options;
    const jsm = await this.#manager();
    this.#nudge(consumer);
    const { state } = await jsm.streams.info(stream);
    this.#connection.ends.note(stream, state.last_seq, Date.parse(state.last_ts));
    const info = await jsm.consumers.info(stream, consumer.name).catch((error: unknown) => {
      // One that had no room for so long that the server forgot it.
      if (!(error instanceof NatsError) || error.api_error?.code !== 404) throw error;
      if (consumer === this.#consumer) this.#reset('consumer not found');
      return undefined;
    });
    if (info === undefined || consumer !== this.#consumer) return undefined;
    this.#waiting.noteTold(info.num_pending, !consumer.isWide);
    // Up to `stream_seq` the server has looked at every entry; it passes those that do not match.
    const { consumer_seq: deliveries, stream_seq: readTo } = info.delivered;
    const isDelivered = deliveries === consumer.nextDelivery - 1;
    if (isDelivered && !consumer.isWide && info.num_pending < consumer.pending) {
      // What waited is gone and never came: it was removed, or passed over.
      this.#reset(`${consumer.pending - info.num_pending} entries did not come`);
      return undefined;
    }
    return {
      completeTo: isDelivered ? Math.max(readTo, this.#lastSequence) : this.#lastSequence,
      pending: info.num_pending,
    };
  }

  /** Has the server read on to the end, where nothing matches. No entry is small enough to come for it. */
  #nudge(consumer: Consumer): void {
    const now = this.#options.clock.now();
    if (consumer.nudgedAtMs + NUDGE_MS > now) return;
    consumer.nudgedAtMs = now;
    this.#request(consumer, NUDGE, { batch: 1, max_bytes: 1, expires: nanos(NUDGE_MS) });
  }

  /** To be called when `room` has grown. */
  pump(): void {
    const consumer = this.#consumer;
    if (consumer === undefined || this.#isClosed || !this.#connection.isConnected) return;
    while (consumer.pulls.size < PULLS_MAX) {
      let { messages, bytes } = this.#options.room();
      for (const pull of consumer.pulls.values()) {
        messages -= pull.messages;
        bytes -= pull.bytes;
      }
      if (messages < 1 || bytes < MESSAGE_BYTES_MAX) return; // D2
      this.#pull(consumer, {
        messages: Math.min(messages, PULL_MESSAGES_MAX),
        bytes: Math.min(bytes, PULL_BYTES_MAX),
      });
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unlisten();
    await this.#watch.close();
    await this.#drop(this.#consumer);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #pull(consumer: Consumer, pull: Pull): void {
    const token = String(this.#pullCount++);
    consumer.pulls.set(token, pull);
    this.#request(consumer, token, {
      batch: pull.messages,
      max_bytes: pull.bytes,
      expires: nanos(PULL_EXPIRES_MS),
      idle_heartbeat: nanos(HEARTBEAT_MS),
    });
  }

  #request(consumer: Consumer, token: string, request: object): void {
    this.#connection.nc.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${this.#options.stream}.${consumer.name}`,
      JSON.stringify(request),
      { reply: `${consumer.inbox}.${token}` },
    );
  }

  #receive(consumer: Consumer, token: string, msg: Msg): void {
    if (consumer !== this.#consumer || this.#isClosed) return;
    // An answer to one says nothing of the pulls that messages come for.
    if (token !== NUDGE) consumer.heardAtMs = this.#options.clock.now();
    const pull = consumer.pulls.get(token);
    const place = msg.reply === undefined ? undefined : parseAckSubject(msg.reply);
    if (place === undefined) {
      this.#receiveStatus(consumer, token, msg);
      return;
    }
    if (place.delivery !== consumer.nextDelivery) {
      this.#reset(`gap: delivery ${place.delivery} where ${consumer.nextDelivery} was due`);
      return;
    }
    consumer.nextDelivery++;
    if (pull !== undefined) {
      pull.messages -= 1;
      pull.bytes = Math.max(0, pull.bytes - msg.data.length);
      if (pull.messages === 0) consumer.pulls.delete(token);
    }
    this.#lastSequence = place.sequence;
    this.#connection.ends.note(this.#options.stream, place.sequence, place.storedAtMs);
    const parts = parseSubject(msg.subject);
    const isOwn = parts !== undefined && this.#wanted.has(`${parts.partition}.${parts.lane}`);
    if (consumer.isWide) this.#waiting.noteRead(isOwn);
    if (isOwn)
      this.#options.onMessage({
        stripe: this.#options.stripe,
        sequence: place.sequence,
        ...parts,
        subject: msg.subject,
        ...readHeaders(msg),
        bytes: new Uint8Array(msg.data), // a copy: the socket's buffer is shared and not aligned
        storedAtMs: place.storedAtMs,
      });
    consumer.pending = place.pending;
    this.#waiting.noteTold(place.pending, !consumer.isWide);
    this.#suit(consumer);
    this.pump();
  }

  /** Goes on with another consumer when the feed has fallen behind, or caught up. */
  #suit({ isWide, pending }: Consumer): void {
    if (this.#options.filtered !== 'when-caught-up') return;
    if (isWide ? pending > 0 : pending < BEHIND_MIN) return;
    this.#reset(isWide ? 'caught up' : `${pending} entries behind`);
    this.#hasCaughtUp = isWide;
  }

  #receiveStatus(consumer: Consumer, token: string, msg: Msg): void {
    const code = msg.headers?.code ?? 0;
    if (code === 100) return; // an idle heartbeat
    consumer.pulls.delete(token);
    const description = msg.headers?.description ?? '';
    const isGone =
      code === 503 ||
      /consumer (deleted|not found)|leadership change|server shutdown/i.test(description);
    if (isGone) this.#reset(`${code} ${description}`);
    else this.pump();
  }

  async #ensureConsumer(): Promise<void> {
    if (this.#isClosed || !this.#connection.isConnected) return;
    const consumer = this.#consumer;
    if (consumer !== undefined) {
      const silentMs = this.#options.clock.now() - consumer.heardAtMs;
      if (consumer.pulls.size > 0 && silentMs > 3 * HEARTBEAT_MS + WATCH_MS)
        this.#reset(`silent for ${Math.round(silentMs)} ms`);
      else if (consumer.pulls.size === 0) consumer.heardAtMs = this.#options.clock.now();
      this.pump();
    }
    if (this.#consumer === undefined) await this.#create();
  }

  async #create(): Promise<void> {
    const jsm = await this.#manager();
    const { stream, subjects } = this.#options;
    const isWide = await this.#isWide(jsm);
    const { name, num_pending: pending } = await jsm.consumers.add(stream, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.#lastSequence + 1, // D3
      ...(isWide ? {} : filterOf(subjects)),
      inactive_threshold: nanos(INACTIVE_THRESHOLD_MS),
      mem_storage: true,
      num_replicas: 1,
    });
    const inbox = createInbox();
    const consumer: Consumer = {
      name,
      inbox,
      subscription: this.#connection.nc.subscribe(`${inbox}.*`, {
        callback: (error, msg) => {
          if (error !== null) this.#reset(String(error));
          else this.#receive(consumer, msg.subject.slice(inbox.length + 1), msg);
        },
      }),
      pulls: new Map(),
      isWide,
      pending,
      nextDelivery: 1,
      heardAtMs: this.#options.clock.now(),
      nudgedAtMs: -Infinity,
    };
    if (this.#isClosed) {
      await this.#drop(consumer);
      return;
    }
    this.#consumer = consumer;
    this.#waiting.noteTold(pending, !isWide);
    this.pump();
  }

  async #isWide(jsm: JetStreamManager): Promise<boolean> {
    const { filtered, stream } = this.#options;
    if (filtered !== 'when-caught-up') return filtered === 'never';
    if (this.#hasCaughtUp) return false;
    return (await jsm.streams.info(stream)).state.last_seq > this.#lastSequence;
  }

  #reset(reason: string): void {
    const old = this.#consumer;
    if (old === undefined || this.#isClosed) return;
    this.#consumer = undefined;
    this.#hasCaughtUp = false;
    this.#resetCount++;
    this.#options.logger.info(
      { stream: this.#options.stream, after: this.#lastSequence, reason },
      'feed starts a new consumer',
    );
    void this.#drop(old).then(() => this.#watch.trigger());
  }

  async #drop(consumer: Consumer | undefined): Promise<void> {
    if (consumer === undefined) return;
    consumer.subscription.unsubscribe();
    if (!this.#connection.isConnected || this.#connection.nc.isClosed()) return;
    try {
      const jsm = await this.#manager();
      await jsm.consumers.delete(this.#options.stream, consumer.name);
    } catch (error) {
      // The server forgets it by itself after the inactive threshold.
      this.#options.logger.debug({ err: error, consumer: consumer.name }, 'consumer not deleted');
    }
  }

  async #manager(): Promise<JetStreamManager> {
    return (this.#jsm ??= await this.#connection.nc.jetstreamManager({ checkAPI: false }));
  }
}

/** One subject goes alone: nats-server looks up a list of one as slowly as any list (see above). */
function filterOf(subjects: readonly string[]) {
  const [first, ...rest] = subjects;
  return rest.length === 0 ? { filter_subject: first! } : { filter_subjects: [...subjects] };
}
