// A process's part in the cluster: it says that it lives and learns who else does.
//
//   M1. While Redis is away the last view stands: nobody joins, nobody leaves, all work goes on.
//   M2. A heartbeat is never repeated late: one that was not answered in time is forgotten.
//   M3. A member whose lease ran out while the others went on, because it was paused or cut off, learns
//       that it was expelled: what it holds may be stale, and others have taken it over.
//   M4. A member's place is free when its lease ends, or sooner for a process that sees that its
//       predecessor is dead.

import { ClusterError, type PartitionId } from '@engram/model';
import { backoffMs, Deadline, Repeater, type Clock, type Logger } from '@engram/runtime';
import {
  differingMembers,
  EMPTY_VIEW,
  nextView,
  type ClusterView,
  type ViewState,
} from './cluster-view.ts';
import { decodeMember, encodeMember, type Member } from './member.ts';
import { isDead, ownProcess } from './predecessor.ts';
import type { RedisServer } from './redis-access.ts';
import { Registry, type RegistryState } from './registry.ts';
import type { BucketStore } from './bucket-store.ts';
import type { SignalStore } from './signal-store.ts';

export interface MembershipOptions {
  readonly redis: RedisServer;
  readonly cluster: string;
  readonly self: Pick<Member, 'id' | 'role' | 'replication'>;
  readonly heartbeatMs: number;
  /** More than three heartbeats, so that one lost packet moves no partition. */
  readonly leaseTtlMs: number;
  readonly connectTimeoutMs: number;
  /** Ends the waiting at the start, with its reason. */
  readonly signal?: AbortSignal;
  /** Another process has this member's id and place: this one must end. */
  readonly onReplaced: (error: ClusterError) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Membership implements AsyncDisposable {
  readonly #options: MembershipOptions;
  readonly #registry: Registry;
  readonly #listeners = new Set<(view: ClusterView) => void>();
  readonly #onExpelled = new Set<() => void>();
  #self: Member;
  #state: ViewState = EMPTY_VIEW;
  #repeater: Repeater | undefined;
  #failingSinceMs: number | undefined;
  #lastBeatMs = -Infinity;
  /** Who was told of last to be set differently. */
  #differing = '';

  private constructor(options: MembershipOptions, registry: Registry, self: Member) {
    this.#options = options;
    this.#registry = registry;
    this.#self = self;
  }

  /**
   * Joins the cluster.
   * @throws ClusterError MEMBER_ID_TAKEN, or the connection's error when Redis is away at start
   */
  static async start(options: MembershipOptions, url: string): Promise<Membership> {
    const { clock, logger } = options;
    const deadline = new Deadline(clock, options.connectTimeoutMs);
    const onError = (error: unknown) => logger.debug({ err: error }, 'redis');
    const registry = await retry(deadline, options, () =>
      Registry.start(
        { ...options.redis, cluster: options.cluster, leaseTtlMs: options.leaseTtlMs, clock },
        onError,
      ),
    );
    const membership = new Membership(options, registry, {
      ...options.self,
      incarnation: crypto.randomUUID(),
      state: 'active',
      url,
      startedAt: new Date(clock.wallNow()).toISOString(),
      process: ownProcess(),
      ready: new Set(),
    });
    try {
      // A process killed a moment ago on another machine still holds the id until its lease ends (M4).
      const lease = new Deadline(clock, options.leaseTtlMs * 2);
      membership.#accept(await retry(lease, options, () => membership.#join()));
      await registry.onChange(() => membership.#repeater?.trigger());
    } catch (error) {
      await registry.close();
      throw error;
    }
    membership.#repeater = new Repeater({
      clock,
      intervalMs: options.heartbeatMs,
      run: () => membership.#round(),
      onError: (error) => membership.#onFailure(error),
    });
    return membership;
  }

  get view(): ClusterView {
    return this.#state.view;
  }

  get self(): Member {
    return this.#self;
  }

  /** What is left of limits that gateways share. */
  get buckets(): BucketStore {
    return this.#registry.buckets;
  }

  /** What shards say of their load. */
  get signals(): SignalStore {
    return this.#registry.signals;
  }

  /** False while the registry does not answer: the view stands still. */
  get isCurrent(): boolean {
    return this.#failingSinceMs === undefined;
  }

  /** Milliseconds since the registry last answered. */
  get ageMs(): number {
    return this.#options.clock.now() - this.#lastBeatMs;
  }

  /** Of Redis; undefined where it does not say. @throws the library's error while it is away */
  serverVersion(): Promise<string | undefined> {
    return this.#registry.serverVersion();
  }

  /** Calls back at once with the present view, then with every new one. */
  onView(listener: (view: ClusterView) => void): () => void {
    this.#listeners.add(listener);
    listener(this.view);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back when this member had been taken for dead (M3). */
  onExpelled(listener: () => void): () => void {
    this.#onExpelled.add(listener);
    return () => this.#onExpelled.delete(listener);
  }

  /** Tells everybody for which partitions this shard may be asked. */
  setReady(ready: ReadonlySet<PartitionId>): void {
    this.#self = { ...this.#self, ready: new Set(ready) };
    this.#repeater?.trigger();
  }

  /** From now on the ring gives this shard nothing; it still answers for what it has. */
  setLeaving(): void {
    this.#self = { ...this.#self, state: 'leaving' };
    this.#repeater?.trigger();
  }

  /** Leaves the cluster at once. */
  async close(): Promise<void> {
    await this.#repeater?.close();
    try {
      await this.#registry.leave(this.#self.id, this.#self.incarnation);
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'could not sign off; the lease will run out');
    }
    await this.#registry.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #beat(): Promise<RegistryState> {
    let answer = await this.#send(this.#state.registryId);
    if (answer.standing === 'expelled') {
      this.#options.logger.warn('the lease had run out; others have taken over');
      this.#self = { ...this.#self, ready: new Set() };
      for (const listener of this.#onExpelled) listener();
      answer = await this.#send(undefined);
    }
    return this.#admitted(answer);
  }

  /** Joins, in the place of a predecessor that is dead (M4). */
  async #join(): Promise<RegistryState> {
    const answer = await this.#send(undefined);
    if (answer.standing !== 'taken') return answer;
    const entry = answer.entries.find(({ id }) => id === this.#self.id);
    const holder = entry && decodeMember(entry);
    if (holder?.process === undefined || !isDead(holder.process)) return this.#admitted(answer);
    this.#options.logger.info({ pid: holder.process.pid }, 'in the place of a dead process');
    return this.#admitted(await this.#send(undefined, holder.incarnation));
  }

  /** @throws ClusterError MEMBER_ID_TAKEN */
  #admitted(answer: RegistryState): RegistryState {
    if (answer.standing !== 'taken') return answer;
    const { id } = this.#self;
    throw new ClusterError('MEMBER_ID_TAKEN', `another running process is member ${id}`, {
      hint: 'give each process its own ENGRAM_MEMBER_ID',
    });
  }

  #send(registryId: string | undefined, dead?: string): Promise<RegistryState> {
    const { id, incarnation } = this.#self;
    const entry = { id, record: encodeMember(this.#self) };
    return this.#registry.beat(entry, incarnation, this.view.epoch, { registryId, dead });
  }

  async #round(): Promise<void> {
    const answer = await this.#beat();
    if (this.#failingSinceMs !== undefined) {
      const awayMs = Math.round(this.#options.clock.now() - this.#failingSinceMs);
      this.#options.logger.info({ awayMs }, 'redis is back');
      this.#failingSinceMs = undefined;
    }
    this.#accept(answer);
  }

  #accept(answer: RegistryState): void {
    const { clock, leaseTtlMs, logger } = this.#options;
    this.#lastBeatMs = clock.now();
    const before = this.#state.view;
    this.#state = nextView(this.#state, answer, clock.now(), 2 * leaseTtlMs);
    const { view } = this.#state;
    if (view === before) return;
    if (view.epoch !== before.epoch)
      logger.info({ epoch: view.epoch, shards: view.shards }, 'new view');
    this.#warnOfDifferences();
    for (const listener of this.#listeners) listener(view);
  }

  #warnOfDifferences(): void {
    const { view } = this;
    const members = differingMembers(view).map(({ id, replication }) => `${id}: ${replication}`);
    if (members.join() === this.#differing) return;
    this.#differing = members.join();
    if (members.length === 0) return;
    const told = { replication: view.replication, members };
    this.#options.logger.warn(told, 'ENGRAM_REPLICATION differs: the most of any shard counts');
  }

  #onFailure(error: unknown): void {
    const { clock, logger } = this.#options;
    if (error instanceof ClusterError && error.code === 'MEMBER_ID_TAKEN') {
      this.#options.onReplaced(error);
      return;
    }
    if (this.#failingSinceMs !== undefined) return;
    this.#failingSinceMs = clock.now();
    logger.warn({ err: error }, 'redis does not answer; the last view stands');
  }
}

async function retry<T>(
  deadline: Deadline,
  { clock, signal }: Pick<MembershipOptions, 'clock' | 'signal'>,
  run: () => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await run();
    } catch (error) {
      const isFinal = error instanceof ClusterError && error.code !== 'MEMBER_ID_TAKEN';
      if (isFinal || deadline.isOver) throw error;
      await clock.sleep(
        Math.min(deadline.remainingMs, 50 + backoffMs(attempt, 50, 500, Math.random)),
        signal,
      );
    }
  }
}
