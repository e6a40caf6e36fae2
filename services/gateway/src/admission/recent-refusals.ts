import type { Refusal } from '@engram/admission';
import type { Clock } from '@engram/runtime';

/** Without a refusal for so long something is no longer one of those that are limited. */
const RECENT_MS = 60_000;
/** Names that are kept; of more the one that was refused longest ago is forgotten. */
const NAMES_MAX = 1_000;
const LISTED_MAX = 20;

/** Who is held back, and since when without a minute in between. */
export interface Limited {
  readonly scope: Refusal['scope'];
  /** Of a space or a caller. */
  readonly name?: string;
  /** Of the last refusal; of other scopes than those two each cause counts by itself. */
  readonly cause: Refusal['cause'];
  readonly refused: number;
  readonly since: string;
  readonly last: string;
}

interface Kept extends Pick<Limited, 'scope' | 'name' | 'cause' | 'refused'> {
  readonly sinceMs: number;
  readonly lastMs: number;
}

/** What this gateway refused of late, for operators: the metrics have no names. */
export class RecentRefusals {
  readonly #clock: Clock;
  /** In the order of their last refusals. */
  readonly #kept = new Map<string, Kept>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note({ scope, name, cause }: Refusal): void {
    const key = `${scope}:${name ?? `(${cause})`}`;
    const lastMs = this.#clock.wallNow();
    const before = this.#kept.get(key);
    const isAnew = before === undefined || lastMs - before.lastMs > RECENT_MS;
    const sinceMs = isAnew ? lastMs : before.sinceMs;
    const refused = isAnew ? 1 : before.refused + 1;
    this.#kept.delete(key);
    this.#kept.set(key, { scope, ...(name && { name }), cause, refused, sinceMs, lastMs });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > NAMES_MAX && oldest !== undefined) this.#kept.delete(oldest);
  }

  /** Those that were refused most, first. */
  get list(): Limited[] {
    const after = this.#clock.wallNow() - RECENT_MS;
    return [...this.#kept.values()]
      .filter(({ lastMs }) => lastMs >= after)
      .sort((left, right) => right.refused - left.refused)
      .slice(0, LISTED_MAX)
      .map(({ sinceMs, lastMs, ...limited }) => ({
        ...limited,
        since: new Date(sinceMs).toISOString(),
        last: new Date(lastMs).toISOString(),
      }));
  }
}
