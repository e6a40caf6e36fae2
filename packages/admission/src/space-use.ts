import { once } from './once.ts';

/** So long after its last entry a space counts as one of those that share. */
const SHARES_FOR_MS = 10_000;

interface Use {
  underWay: number;
  enteredAtMs: number;
}

/** What is under way of each space in something that spaces share. */
export class SpaceUse<Space extends string> {
  readonly #uses = new Map<Space, Use>();
  #underWay = 0;

  /** Of all spaces. */
  get underWay(): number {
    return this.#underWay;
  }

  of(space: Space): number {
    return this.#uses.get(space)?.underWay ?? 0;
  }

  /** Of each space that shares, also 0. */
  bySpace(nowMs: number): ReadonlyMap<Space, number> {
    this.expire(nowMs);
    return new Map([...this.#uses].map(([space, { underWay }]) => [space, underWay]));
  }

  /** Whether other spaces share, or did at the last `expire`. */
  hasOthers(space: Space): boolean {
    return this.#uses.size > (this.#uses.has(space) ? 1 : 0);
  }

  /** Returns what to call when it is no longer under way. */
  enter(space: Space, count: number, nowMs: number): () => void {
    const use = this.#uses.get(space) ?? { underWay: 0, enteredAtMs: 0 };
    this.#uses.set(space, use);
    use.enteredAtMs = nowMs;
    use.underWay += count;
    this.#underWay += count;
    return once(() => {
      use.underWay -= count;
      this.#underWay -= count;
    });
  }

  /** Forgets spaces that share no more. */
  expire(nowMs: number): void {
    for (const [space, { underWay, enteredAtMs }] of this.#uses)
      if (underWay === 0 && enteredAtMs < nowMs - SHARES_FOR_MS) this.#uses.delete(space);
  }
}
