// A log in memory whose feeds behave as `LogFeed` does: they pull what `room` allows when they are
// pumped, deliver in ascending sequence, and tell their progress late, never or with an error. Every
// wait of the reader ends only when the test opens its gate, so that anything can happen between.

import type { LogMessage } from '@engram/log';
import type { Lane, PartitionId } from '@engram/model';
import type { Feed, FeedRequest } from '../src/options.ts';

export interface Entry {
  readonly sequence: number;
  readonly partition: PartitionId;
  readonly lane: Lane;
}

export type Mood = 'answers' | 'cannot tell' | 'fails';

export const ENTRY_BYTES = 8;

export class FakeFeed implements Feed {
  readonly request: FeedRequest;
  readonly #log: FakeLog;
  #lastSequence: number;
  /** Entries asked for and not delivered. */
  #pulled = 0;
  #isClosed = false;

  constructor(log: FakeLog, request: FeedRequest) {
    this.#log = log;
    this.request = request;
    this.#lastSequence = request.startSequence - 1;
  }

  get waiting(): number {
    return this.#waiting().length;
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  #waiting(): Entry[] {
    return this.#log
      .entries(this.request.stripe)
      .filter(
        ({ sequence, partition, lane }) =>
          sequence > this.#lastSequence &&
          this.request.subjects.includes(`obs.${partition}.${lane}.>`),
      );
  }

  async progress(): Promise<{ completeTo: number; pending: number } | undefined> {
    await this.#log.gate();
    if (this.#log.mood === 'fails') throw new Error('the log does not answer');
    const head = this.#log.headOf(this.request.stripe);
    await this.#log.gate();
    if (this.#log.mood === 'cannot tell' || this.#isClosed) return undefined;
    const pending = this.#waiting().length;
    const last = this.#lastSequence;
    return { completeTo: pending === 0 ? Math.max(head, last) : last, pending };
  }

  pump(): void {
    if (this.#isClosed) return;
    const { messages, bytes } = this.request.room();
    const fits = Math.min(messages, Math.floor(bytes / ENTRY_BYTES));
    this.#pulled = Math.max(this.#pulled, fits);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#log.gate();
  }

  /** Hands over the next entry when there is one and it was asked for. */
  deliver(): boolean {
    const next = this.#waiting()[0];
    if (this.#isClosed || this.#pulled === 0 || next === undefined) return false;
    this.#pulled--;
    this.#lastSequence = next.sequence;
    this.request.onMessage({
      ...next,
      stripe: this.request.stripe,
      space: 'a',
      subject: `obs.${next.partition}.${next.lane}.a`,
      contentType: undefined,
      traceparent: undefined,
      afterSequence: 0,
      bytes: new Uint8Array(ENTRY_BYTES),
      storedAtMs: 0,
    } satisfies LogMessage);
    this.pump();
    return true;
  }
}

export class FakeLog {
  readonly stripeCount: number;
  readonly #stripes: Entry[][];
  readonly #gates: (() => void)[] = [];
  readonly feeds: FakeFeed[] = [];
  /** What `head` answered last, by stripe. */
  readonly headsTold = new Map<number, number>();
  mood: Mood = 'answers';
  /** Gates that open by themselves. */
  isOpen = false;

  constructor(stripeCount: number) {
    this.stripeCount = stripeCount;
    this.#stripes = Array.from({ length: stripeCount }, () => []);
  }

  publish(partition: PartitionId, lane: Lane): Entry {
    const stripe = this.#stripes[partition % this.stripeCount]!;
    const entry = { sequence: stripe.length + 1, partition, lane };
    stripe.push(entry);
    return entry;
  }

  entries(stripe: number): readonly Entry[] {
    return this.#stripes[stripe]!;
  }

  entriesOf(partition: PartitionId, lane: Lane): Entry[] {
    return this.entries(partition % this.stripeCount).filter(
      (entry) => entry.partition === partition && entry.lane === lane,
    );
  }

  headOf(stripe: number): number {
    return this.#stripes[stripe]!.length;
  }

  async head(stripe: number): Promise<number> {
    await this.gate();
    if (this.mood === 'fails') throw new Error('the log does not answer');
    const head = this.headOf(stripe);
    await this.gate();
    this.headsTold.set(stripe, head);
    return head;
  }

  openFeed(request: FeedRequest): FakeFeed {
    const feed = new FakeFeed(this, request);
    this.feeds.push(feed);
    // Like a consumer of the server, it takes its first pull a little after it was asked for.
    void this.gate().then(() => feed.pump());
    return feed;
  }

  get openFeeds(): FakeFeed[] {
    return this.feeds.filter((feed) => !feed.isClosed);
  }

  gate(): Promise<void> {
    if (this.isOpen) return Promise.resolve();
    return new Promise((resolve) => this.#gates.push(resolve));
  }

  openGate(which: number): void {
    if (this.#gates.length > 0) this.#gates.splice(which % this.#gates.length, 1)[0]!();
  }

  openAllGates(): void {
    this.isOpen = true;
    for (const open of this.#gates.splice(0)) open();
  }
}
