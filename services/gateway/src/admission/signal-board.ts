// What the shards said last of their load, by whichever way it came first: NATS, or Redis.

import { decodeSignal, HeardSignals, type ShardSignal } from '@engram/admission';
import type { SignalStore } from '@engram/membership';
import type { MemberId } from '@engram/model';
import { Repeater, type Clock, type Logger } from '@engram/runtime';

export interface SignalBoardOptions {
  /** A signal counts for so long. */
  readonly ttlMs: number;
  readonly shards: () => readonly MemberId[];
  readonly store: Pick<SignalStore, 'read'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Members that signals are kept of; strangers are forgotten as soon as what they said expires. */
const HEARD_MAX = 1_024;

export class SignalBoard implements AsyncDisposable {
  readonly #options: SignalBoardOptions;
  readonly #heard: HeardSignals;
  readonly #refreshes: Repeater;

  private constructor(options: SignalBoardOptions) {
    const { clock, logger, ttlMs } = options;
    this.#options = options;
    this.#heard = new HeardSignals(ttlMs);
    this.#refreshes = new Repeater({
      clock,
      // Messages may get lost; what Redis has is then taken before it counts as silence.
      intervalMs: ttlMs / 3,
      run: () => this.#refresh(),
      onError: (error) => logger.debug({ err: error }, 'signals were not read'),
    });
  }

  /** Reads what there is, so that the first write is not judged blindly. */
  static async start(options: SignalBoardOptions): Promise<SignalBoard> {
    const board = new SignalBoard(options);
    await board.#refresh().catch((error: unknown) => {
      options.logger.warn({ err: error }, 'no signals yet');
    });
    return board;
  }

  /** Takes what somebody said; whatever else it may be is passed over. */
  readonly take = (text: string): void => {
    const signal = decodeSignal(text);
    if (signal === undefined || !this.#isKept(signal.member)) return;
    this.#heard.take(signal, this.#options.clock.now());
  };

  /** What the shard said, unless that is too long ago. */
  of(shard: MemberId): ShardSignal | undefined {
    return this.#heard.of(shard, this.#options.clock.now());
  }

  close(): Promise<void> {
    return this.#refreshes.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A shard may be heard before it is seen to join; of whoever else speaks not everything is kept. */
  #isKept(member: MemberId): boolean {
    return (
      this.#heard.has(member) ||
      this.#heard.size < HEARD_MAX ||
      this.#options.shards().includes(member)
    );
  }

  async #refresh(): Promise<void> {
    const { shards, store, clock } = this.#options;
    this.#heard.expire(clock.now());
    const silent = shards().filter((shard) => !this.#heard.has(shard));
    for (const text of await store.read(silent)) this.take(text);
  }
}
