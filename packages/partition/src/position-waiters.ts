import type { PartitionId, Position } from '@engram/model';
import type { Clock } from '@engram/runtime';

interface Waiter {
  readonly position: Position;
  readonly done: AbortController;
}

/** Those that wait until a position is applied. */
export class PositionWaiters {
  readonly #clock: Clock;
  readonly #isApplied: (position: Position) => boolean;
  readonly #waiters = new Set<Waiter>();

  constructor(clock: Clock, isApplied: (position: Position) => boolean) {
    this.#clock = clock;
    this.#isApplied = isApplied;
  }

  /** Resolves true once the position is applied, false when the time is over. */
  async wait(position: Position, timeoutMs: number): Promise<boolean> {
    if (this.#isApplied(position)) return true;
    if (timeoutMs <= 0) return false;
    const waiter: Waiter = { position, done: new AbortController() };
    this.#waiters.add(waiter);
    await this.#clock.sleep(timeoutMs, waiter.done.signal);
    this.#waiters.delete(waiter);
    return this.#isApplied(position);
  }

  /** Something of the partition was applied. */
  wake(partition: PartitionId): void {
    for (const { position, done } of this.#waiters)
      if (position.partition === partition && this.#isApplied(position)) done.abort();
  }

  close(): void {
    for (const { done } of this.#waiters) done.abort();
  }
}
