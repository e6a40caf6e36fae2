// Reads the partitions that a shard holds from the log and hands every entry to `apply`, once.
//
//   P1. Every entry of a held partition is handed over once, in ascending order within its lane.
//   P2. `ready` names a partition only after everything that stood in its log when the shard took it
//       has been applied, by what was restored of it or by its replay.
//   P3. What is under way is bounded in messages and in bytes for each lane (all replays count as one
//       more): overload waits in the log, not here. Feeds that share a room may each pull it once.
//
// What is stored of a partition is brought in first; from there it is replayed by a feed of its own, all
// lanes in one. Once it has caught up it joins the live feeds, one a lane, which are opened again with the
// larger set at the lowest place any of them needs. Entries seen before are skipped.

import { LANES, perLane, type Lane, type PartitionId, type Position } from '@engram/model';
import { Repeater } from '@engram/runtime';
import { partitionSubjects, streamName, stripeOf, type LogMessage, type Room } from '@engram/log';
import { Load, noteProgress, pendingOf, waitingOf, type LiveFeed, type Replay } from './feeds.ts';
import {
  completedTo,
  settle,
  groupByStripe,
  isApplied,
  isLive,
  newlyHeld,
  underWay,
  type Held,
} from './held.ts';
import { confirmCaughtUp } from './confirming.ts';
import { LaneProgress } from './lane-progress.ts';
import type { ReaderOptions } from './options.ts';
import { PositionWaiters } from './position-waiters.ts';
import { progressOf, type ReplayProgress } from './replay-progress.ts';
import { Restores } from './restores.ts';

/** Partitions that were restored wait so long for others: each replay that ends opens the feeds anew. */
const GATHER_MS = 200;
/** Counting what waits costs the server some requests. */
const SURVEY_MS = 1_000;

export class PartitionReader implements AsyncDisposable {
  readonly #options: ReaderOptions;
  readonly #held = new Map<PartitionId, Held>();
  readonly #laneLoad = perLane(() => new Load());
  readonly #replayLoad = new Load();
  readonly #waiters: PositionWaiters;
  readonly #repeater: Repeater;
  readonly #restores: Restores;
  #gatherUntilMs: number | undefined;
  #replays: Replay[] = [];
  #live: LiveFeed[] = [];
  #wanted: ReadonlySet<PartitionId> = new Set();
  #isFenced = false;
  #surveyAtMs = -Infinity;
  #closing: Promise<void> | undefined;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#waiters = new PositionWaiters(options.clock, (position) =>
      isApplied(this.#held.get(position.partition), position),
    );
    const { restore, clock, logger } = options;
    const onSettled = () => this.#repeater.trigger();
    this.#restores = new Restores({ restore, onSettled, clock, logger });
    this.#repeater = new Repeater({
      clock: options.clock,
      intervalMs: options.intervalMs,
      run: () => this.#reconcile(),
      onError: (error) => options.logger.warn({ err: error }, 'partitions are not reconciled yet'),
    });
  }

  /** Sets what the shard is to hold; the change happens in the background. */
  hold(partitions: ReadonlySet<PartitionId>): void {
    this.#wanted = partitions;
    this.#repeater.trigger();
  }

  /** What is held may be stale: all of it is let go, and what the shard is to hold is replayed. */
  fence(): void {
    this.#isFenced = true;
    this.#options.onComplete(new Map());
    this.#announce();
    this.#repeater.trigger();
  }

  /**
   * What was applied of these partitions is lost: they are replayed, and until then they are not ready.
   * Nothing is released, because what is left of them still answers.
   */
  replay(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) {
      if (this.#held.has(partition)) this.#held.set(partition, newlyHeld());
    }
    this.#announce();
    this.#repeater.trigger();
  }

  get held(): readonly PartitionId[] {
    return [...this.#held.keys()];
  }

  /**
   * Stands for one taking of the partition, until it is let go or replayed: what was told about it holds
   * as long as this is the same.
   */
  holding(partition: PartitionId): Readonly<Pick<Held, 'failure'>> | undefined {
    return this.#held.get(partition);
  }

  isReady(partition: PartitionId): boolean {
    return !this.#isFenced && this.#held.get(partition)?.phase.kind === 'ready';
  }

  get ready(): Set<PartitionId> {
    return new Set(this.held.filter((partition) => this.isReady(partition)));
  }

  /** Entries that wait in the log for a lane's live feeds, as far as the server told. */
  pending(lane: Lane): number {
    return waitingOf(this.#live.filter((live) => live.lane === lane));
  }

  inFlight(lane: Lane): number {
    return this.#laneLoad[lane].messages;
  }

  /** Entries that the replays have not read yet, other shards' too where those stand between. */
  get replayPending(): number {
    return this.#replays.reduce((sum, { pending }) => sum + pending, 0);
  }

  get replayCount(): number {
    return this.#replays.reduce((sum, { partitions }) => sum + partitions.size, 0);
  }

  get replays(): ReplayProgress[] {
    return this.#replays.map((replay) => progressOf(replay, this.#held));
  }

  /** Entries of a partition to apply: under way, and waiting in its feeds with those of others. */
  lag(partition: PartitionId): number {
    const held = this.#held.get(partition);
    if (held === undefined) return 0;
    const stripe = stripeOf(partition, this.#options.stripeCount);
    const pending = pendingOf(partition, held, stripe, this.#live, this.#replays);
    return pending + underWay(held);
  }

  /** Up to where a held partition is applied, lane by lane. */
  applied(partition: PartitionId): Position {
    const lanes = this.#held.get(partition)?.lanes;
    return { partition, sequences: perLane((lane) => lanes?.[lane].applied ?? 0) };
  }

  /** Resolves true once the position is applied, false when the time is over. */
  waitFor(position: Position, timeoutMs: number): Promise<boolean> {
    return this.#waiters.wait(position, timeoutMs);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    await this.#repeater.close();
    await this.#restores.close();
    await Promise.all([...this.#replays, ...this.#live].map(({ feed }) => feed.close()));
    this.#waiters.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** One round: let go, take, see who has caught up. Never runs twice at one time. */
  async #reconcile(): Promise<void> {
    if (this.#isFenced) {
      this.#isFenced = false;
      await this.#release(this.held);
    }
    const wanted = this.#wanted;
    await this.#release(this.held.filter((partition) => !wanted.has(partition)));
    for (const partition of wanted)
      if (!this.#held.has(partition)) this.#held.set(partition, newlyHeld());
    this.#restores.startDue(this.#held);
    await this.#startReplays();
    await this.#finishReplays();
    await this.#confirm();
    await this.#survey();
    // Who applies may have room again without having finished anything.
    for (const { feed } of [...this.#replays, ...this.#live]) feed.pump();
  }

  /** Asks now and then what waits in the log, and up to where the partitions are complete. */
  async #survey(): Promise<void> {
    const { clock, onComplete, stripeCount } = this.#options;
    if (clock.now() < this.#surveyAtMs) return;
    this.#surveyAtMs = clock.now() + SURVEY_MS;
    const completeTo = new Map<number, number>();
    for (const live of this.#live) {
      const progress = await live.feed.progress();
      const lowest = Math.min(completeTo.get(live.stripe) ?? Infinity, progress?.completeTo ?? 0);
      completeTo.set(live.stripe, lowest);
    }
    if (!this.#isFenced) onComplete(completedTo(this.#held, completeTo, stripeCount));
  }

  async #release(unwanted: readonly PartitionId[]): Promise<void> {
    // One that is being brought in goes in a later round: or its files would come after it went.
    const partitions = unwanted.filter((partition) => !this.#restores.isRunning(partition));
    if (partitions.length === 0) return;
    for (const partition of partitions) this.#held.delete(partition);
    this.#restores.forget((partition, held) => this.#held.get(partition) === held);
    this.#options.logger.info({ partitions: partitions.length }, 'released');
    this.#options.onRelease(partitions);
    this.#announce();
    // Opened again without them, so that their entries no longer come over the wire.
    for (const stripe of new Set(this.#live.map((live) => live.stripe)))
      await this.#joinLive(stripe, []);
  }

  /** Of those that have been restored. */
  async #startReplays(): Promise<void> {
    const { stripeCount, openFeed, head, clock, logger } = this.#options;
    const restored = [...this.#held].flatMap(([partition, { phase }]) =>
      phase.kind === 'restored' ? [partition] : [],
    );
    if (restored.length === 0) return;
    this.#gatherUntilMs ??= clock.now() + GATHER_MS;
    if (this.#restores.isBusy && clock.now() < this.#gatherUntilMs) return;
    this.#gatherUntilMs = undefined;
    for (const [stripe, members] of groupByStripe(restored, stripeCount)) {
      const startedAtMs = clock.now();
      const until = await head(stripe);
      const partitions = new Map<PartitionId, Held>();
      let startSequence = Infinity;
      for (const partition of members) {
        const held = this.#held.get(partition);
        if (held?.phase.kind !== 'restored') continue; // it was lost meanwhile
        const { from } = held.phase;
        held.lanes = perLane(() => new LaneProgress(from));
        held.completeTo = from;
        held.phase = { kind: 'replaying' };
        this.#waiters.wake(partition);
        partitions.set(partition, held);
        startSequence = Math.min(startSequence, from + 1);
      }
      if (partitions.size === 0) continue;
      const feed = openFeed({
        stripe,
        stream: streamName(stripe),
        subjects: LANES.flatMap((lane) => partitionSubjects(partitions.keys(), lane)),
        startSequence,
        filtered: 'never',
        room: () => this.#room(this.#replayLoad, undefined),
        onMessage: (message) => {
          const held = this.#held.get(message.partition);
          // A partition that was let go and taken again has another replay, which begins anew.
          if (held !== undefined && held === partitions.get(message.partition))
            this.#receive(message, held, this.#replayLoad);
        },
      });
      const at = { startedAtMs, start: startSequence - 1, until, pending: until };
      this.#replays.push({ stripe, partitions, feed, ...at });
      logger.info({ stripe, partitions: partitions.size, startSequence, until }, 'replaying');
    }
  }

  async #finishReplays(): Promise<void> {
    await this.#endAbandoned();
    const finished: { replay: Replay; completeTo: number }[] = [];
    for (const replay of this.#replays) {
      const progress = await replay.feed.progress();
      if (progress !== undefined && noteProgress(replay, progress, this.#options.clock.now()))
        finished.push({ replay, completeTo: progress.completeTo });
    }
    for (const stripe of new Set(finished.map(({ replay }) => replay.stripe))) {
      const merging = finished.filter(({ replay }) => replay.stripe === stripe);
      await this.#joinLive(stripe, merging);
    }
  }

  /** Ends the replays of which the shard has let every partition go. */
  async #endAbandoned(): Promise<void> {
    const isAbandoned = ({ partitions }: Replay) =>
      [...partitions].every(([partition, held]) => this.#held.get(partition) !== held);
    const abandoned = this.#replays.filter(isAbandoned);
    this.#replays = this.#replays.filter((replay) => !abandoned.includes(replay));
    for (const { feed } of abandoned) await feed.close();
  }

  /** Closes the finished replays of a stripe and opens its live feeds with their partitions too. */
  async #joinLive(
    stripe: number,
    finished: readonly { readonly replay: Replay; readonly completeTo: number }[],
  ): Promise<void> {
    const { openFeed, stripeCount, logger } = this.#options;
    const replays = new Set(finished.map(({ replay }) => replay));
    const old = this.#live.filter((live) => live.stripe === stripe);
    const starts = new Map<Lane, number>();
    for (const lane of LANES) {
      let start = Math.min(...finished.map(({ completeTo }) => completeTo));
      for (const live of old.filter((each) => each.lane === lane)) {
        const progress = await live.feed.progress();
        start = Math.min(start, progress?.completeTo ?? live.feed.lastSequence);
      }
      starts.set(lane, start + 1);
    }
    // From the first close to the last open nothing is received, and every start lies before it.
    await Promise.all([...replays, ...old].map(({ feed }) => feed.close()));
    this.#replays = this.#replays.filter((replay) => !replays.has(replay));
    for (const { partitions, until: upTo } of replays)
      for (const held of partitions.values()) {
        const until = perLane((lane) => held.lanes[lane].received);
        held.phase = { kind: 'settling', until, upTo };
      }
    const members = [...this.#held]
      .filter(([p, held]) => stripeOf(p, stripeCount) === stripe && isLive(held))
      .map(([partition]) => partition);
    const opened =
      members.length === 0
        ? []
        : LANES.map((lane): LiveFeed => {
            const load = this.#laneLoad[lane];
            const feed = openFeed({
              stripe,
              stream: streamName(stripe),
              subjects: partitionSubjects(members, lane),
              startSequence: starts.get(lane)!,
              filtered: 'when-caught-up',
              room: () => this.#room(load, lane),
              onMessage: (message) => {
                const held = this.#held.get(message.partition);
                // What a replay has not reached yet must not be overtaken by the live feeds (P1).
                if (held !== undefined && isLive(held)) this.#receive(message, held, load);
              },
            });
            return { stripe, lane, feed };
          });
    this.#live = [...this.#live.filter((live) => live.stripe !== stripe), ...opened];
    logger.info({ stripe, partitions: members.length }, 'live');
    this.#settle();
  }

  #receive(message: LogMessage, held: Held, load: Load): void {
    const finish = held.lanes[message.lane].receive(message.sequence);
    if (finish === undefined) return; // P1: seen before
    const { length } = message.bytes;
    load.messages++;
    load.bytes += length;
    void this.#options
      .apply(message, () => this.#held.get(message.partition) === held)
      .catch((error: unknown) => {
        if (this.#closing === undefined)
          this.#options.logger.error({ err: error, sequence: message.sequence }, 'not applied');
      })
      .finally(() => {
        load.messages--;
        load.bytes -= length;
        finish();
        this.#waiters.wake(message.partition);
        if (held.phase.kind === 'settling') this.#settle();
        this.#pump(load);
      });
  }

  /** Feeds share their room: each must hear that there is some, not only the one that gave it back. */
  #pump(load: Load): void {
    if (load === this.#replayLoad) for (const { feed } of this.#replays) feed.pump();
    else for (const { feed, lane } of this.#live) if (load === this.#laneLoad[lane]) feed.pump();
  }

  /** What both bounds leave (P3). */
  #room({ messages, bytes }: Load, lane: Lane | undefined): Room {
    const most = this.#options.roomPerLane[lane ?? 'normal'];
    const room = this.#options.room(lane);
    return {
      messages: Math.min(most.messages - messages, room.messages),
      bytes: Math.min(most.bytes - bytes, room.bytes),
    };
  }

  /** Partitions whose replayed entries are all applied have caught up. */
  #settle(): void {
    if (settle(this.#held.values())) this.#repeater.trigger();
  }

  /** Partitions that have caught up become ready when they miss nothing (P2). */
  async #confirm(): Promise<void> {
    if (await confirmCaughtUp(this.#held, this.#options)) this.#announce();
  }

  #announce(): void {
    this.#options.onReady(this.ready);
  }
}
