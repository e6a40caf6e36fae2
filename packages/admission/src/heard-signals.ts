// What shards said last of their load. Messages overtake each other and come twice, and anybody may forge one.
//
//   S1. Of two signals of a member the newer counts, whichever came last.
//   S2. What expired counts as nothing, whatever number it had: one forged signal with a number beyond all
//       others would silence its shard for good.

import type { MemberId } from '@engram/model';
import { isNewer, type ShardSignal } from './signal.ts';

interface Heard {
  readonly signal: ShardSignal;
  readonly atMs: number;
}

export class HeardSignals {
  readonly #ttlMs: number;
  readonly #heard = new Map<MemberId, Heard>();

  /** @param ttlMs a signal counts for so long */
  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  /** Members of which something is kept, also what expired since the last `expire`. */
  get members(): MemberId[] {
    return [...this.#heard.keys()];
  }

  get size(): number {
    return this.#heard.size;
  }

  has(member: MemberId): boolean {
    return this.#heard.has(member);
  }

  take(signal: ShardSignal, nowMs: number): void {
    const known = this.of(signal.member, nowMs); // S2
    if (isNewer(signal, known)) this.#heard.set(signal.member, { signal, atMs: nowMs }); // S1
  }

  /** What the member said, unless that is too long ago. */
  of(member: MemberId, nowMs: number): ShardSignal | undefined {
    const heard = this.#heard.get(member);
    return heard !== undefined && nowMs - heard.atMs <= this.#ttlMs ? heard.signal : undefined;
  }

  /** Forgets who is silent. */
  expire(nowMs: number): void {
    for (const member of this.#heard.keys())
      if (this.of(member, nowMs) === undefined) this.#heard.delete(member);
  }
}
