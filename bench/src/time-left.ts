/** How long the groups that are still to come will take, by how long they took before. */
export class TimeLeft {
  readonly #expectedMs: ReadonlyMap<string, number>;
  #waiting: readonly string[];
  #tookMs = 0;
  /** What those that have ended were expected to take. */
  #expectedOfEndedMs = 0;

  /** @param expectedMs of full runs; groups that never ran are missing */
  constructor(groups: readonly string[], expectedMs: ReadonlyMap<string, number>) {
    this.#waiting = groups;
    this.#expectedMs = expectedMs;
  }

  ended(group: string, tookMs: number): void {
    this.#waiting = this.#waiting.filter((name) => name !== group);
    const expectedMs = this.#expectedMs.get(group);
    if (expectedMs === undefined) return;
    this.#tookMs += tookMs;
    this.#expectedOfEndedMs += expectedMs;
  }

  /** `about 12 min left`, by the pace of this run; undefined while nothing is known. */
  get text(): string | undefined {
    const known = this.#waiting.flatMap((name) => this.#expectedMs.get(name) ?? []);
    if (known.length === 0) return undefined;
    const pace = this.#expectedOfEndedMs === 0 ? 1 : this.#tookMs / this.#expectedOfEndedMs;
    const leftMs = known.reduce((sum, ms) => sum + ms, 0) * pace;
    const more = known.length < this.#waiting.length ? ' and more' : '';
    return leftMs < 60_000
      ? `about ${Math.ceil(leftMs / 1_000)} s${more} left`
      : `about ${Math.round(leftMs / 60_000)} min${more} left`;
  }
}
