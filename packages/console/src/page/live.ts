// Asks the gateway each second, and remembers a quarter of an hour of what it said.

import type { ClusterMember, ClusterStatus, DeadLetter, RingStatus } from '@engram/client';
import {
  checkCluster,
  checkDeadLetters,
  quantileMs,
  sampleOf,
  together,
  type Check,
  type Latencies,
  type Sample,
  type Seen,
} from '@engram/diagnosis';
import { LANES, perLane, type Lane } from '@engram/model';
import { client } from './connection.ts';
import { GoneShards } from './gone-shards.ts';

const LOOK_MS = 1_000;
const KEPT = 900;
/** Quantiles of a second are of too few. */
const LATENCY_LOOKS = 5;
const LETTERS_MS = 5_000;
export const LETTERS_ASKED = 100;
/** Without an answer for so long what is shown is old. */
const OLD_MS = 3_000;

export interface Point {
  /** Seconds since 1970, as charts have it. */
  readonly atS: number;
  readonly rates: Readonly<Record<Lane, number | undefined>>;
  readonly lagMs: number;
  readonly freshP50Ms: number | undefined;
  readonly freshP99Ms: number | undefined;
  readonly recallP99Ms: number | undefined;
}

export interface Shown {
  readonly status?: ClusterStatus;
  readonly ring?: RingStatus;
  readonly sample?: Sample;
  readonly points: readonly Point[];
  readonly checks: readonly Check[];
  /** The newest; undefined until they were read once. */
  readonly letters: readonly DeadLetter[] | undefined;
  /** Why nothing newer is known. */
  readonly error?: unknown;
  readonly isOld: boolean;
}

type Listener = (shown: Shown) => void;

interface Look extends Seen {
  readonly freshness: Latencies | undefined;
  readonly recall: Latencies | undefined;
}

export class Live {
  readonly #listeners = new Set<Listener>();
  readonly #looks: Look[] = [];
  #shown: Shown = { points: [], checks: [], letters: undefined, isOld: false };
  #answeredAt = performance.now();
  #lettersAt = -Infinity;
  #looking: Promise<void> = Promise.resolve();
  readonly #gone = new GoneShards();
  #stop = new AbortController();

  get shown(): Shown {
    return this.#shown;
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    this.#stop = new AbortController();
    void this.#run(this.#stop.signal);
  }

  close(): void {
    this.#stop.abort();
  }

  /** Dead letters changed by what was done here. */
  async lookAtLetters(): Promise<void> {
    this.#lettersAt = -Infinity;
    // One after the other: rates are differences.
    await this.#looking;
    await this.#look(this.#stop.signal);
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const begunAt = performance.now();
      // A page that nobody sees asks nothing.
      if (!document.hidden) await this.#look(signal);
      const leftMs = Math.max(50, LOOK_MS - (performance.now() - begunAt));
      await new Promise((resolve) => setTimeout(resolve, leftMs));
    }
  }

  #look(signal: AbortSignal): Promise<void> {
    this.#looking = this.#lookOnce(signal);
    return this.#looking;
  }

  async #lookOnce(signal: AbortSignal): Promise<void> {
    try {
      const [status, ring, letters] = await Promise.all([
        client().cluster({ signal }),
        client().ring({ signal }),
        this.#letters(signal),
      ]);
      this.#answeredAt = performance.now();
      this.#take(status, ring, letters);
    } catch (error) {
      if (signal.aborted) return;
      const isOld = performance.now() - this.#answeredAt > OLD_MS;
      this.#show({ ...this.#shown, error, isOld });
    }
  }

  async #letters(signal: AbortSignal): Promise<readonly DeadLetter[] | undefined> {
    const now = performance.now();
    if (now - this.#lettersAt < LETTERS_MS) return this.#shown.letters;
    this.#lettersAt = now;
    const letters: DeadLetter[] = [];
    try {
      for await (const letter of client().deadLetters.list({ pageSize: LETTERS_ASKED, signal })) {
        letters.push(letter);
        if (letters.length === LETTERS_ASKED) break;
      }
    } catch {
      // The checks say what is wrong with NATS, where they are.
      return this.#shown.letters;
    }
    return letters;
  }

  #take(status: ClusterStatus, ring: RingStatus, letters: Shown['letters']): void {
    const look: Look = {
      status,
      atMs: performance.now(),
      freshness: together(latenciesOf(status, 'freshness')),
      recall: together(latenciesOf(status, 'recall')),
    };
    const sample = sampleOf(this.#looks.at(-1), look);
    const before = this.#looks.at(-LATENCY_LOOKS);
    const quantile = (share: number, of: 'freshness' | 'recall') =>
      // Without an earlier look it would be of all that ever was.
      look[of] && before?.[of] && quantileMs(share, look[of], before[of]);
    this.#looks.push(look);
    if (this.#looks.length > LATENCY_LOOKS + 1) this.#looks.shift();
    const point: Point = {
      atS: Date.now() / 1_000,
      rates: perLane((lane) => rateOf(sample, lane)),
      lagMs: Math.max(0, ...sample.shards.flatMap(({ lanes }) => lanes.map((of) => of.lagMs ?? 0))),
      freshP50Ms: quantile(0.5, 'freshness'),
      freshP99Ms: quantile(0.99, 'freshness'),
      recallP99Ms: quantile(0.99, 'recall'),
    };
    const points = [...this.#shown.points.slice(-(KEPT - 1)), point];
    const checks = [
      ...this.#gone.look(status),
      ...checkCluster(status, { command: 'engram', moves: 'the page Ring' }),
      ...(letters === undefined ? [] : [checkDeadLetters(letters, LETTERS_ASKED, 'engram')]),
    ];
    this.#show({ status, ring, sample, points, checks, letters, isOld: false });
  }

  #show(shown: Shown): void {
    this.#shown = shown;
    for (const listener of this.#listeners) listener(shown);
  }
}

/** Of every shard that tells them; of all its lanes. */
function latenciesOf({ members }: ClusterStatus, of: 'freshness' | 'recall'): Latencies[] {
  return members.flatMap(({ latency }: ClusterMember) => {
    if (latency === undefined) return [];
    const { boundsS } = latency;
    if (of === 'recall') return [{ boundsS, counts: latency.recall }];
    return LANES.map((lane) => ({ boundsS, counts: latency.freshness[lane] }));
  });
}

function rateOf({ shards }: Sample, lane: Lane): number | undefined {
  const rates = shards.flatMap(({ lanes }) =>
    lanes.filter((row) => row.lane === lane).flatMap(({ rate }) => rate ?? []),
  );
  return rates.length === 0 ? undefined : rates.reduce((sum, rate) => sum + rate, 0);
}
