// The nearest rows of some segments. Graphs only propose: every row that is answered was scored
// exactly from its stored embedding, so it does not matter how coarse a graph's own distances are.

import type { Predicate } from '@engram/model';
import { TopK } from '@engram/vector-index';
import type { FilterCache, Matches } from './filter-matches.ts';
import type { Pace } from './pace.ts';
import { isVisible, type Query, type Segment } from './segment.ts';
import type { Snapshot } from './stamp.ts';

/** Candidates that are scored exactly beyond half as many again as are wanted. */
const RERANK_MARGIN = 24;
/**
 * A graph that is to bring this part of the rows in question saves no time, and cannot pause while it
 * searches.
 */
const EXACT_SHARE = 2;
/** A graph that brought too few is asked again for so many times as many, some milliseconds at most. */
const BREADTH_STEP = 4;
const WIDENED_MAX = 4_096;
/** Rows scored between two looks at the time; some 0.1 ms. */
const ROWS_A_LOOK = 64;
/** A recall of more than these takes long enough that others go on between its segments. */
const K_AT_ONCE = 500;

export interface NearestOptions {
  readonly k: number;
  readonly ef: number;
  /** No graph is asked. */
  readonly exact: boolean;
  /** No row can be nearer than one of this rank. */
  readonly bestRank: number;
  readonly asOf?: Snapshot;
  readonly filter?: { readonly key: string; readonly predicate: Predicate };
  readonly cache: FilterCache;
  readonly pace: Pace;
}

export interface Found {
  readonly segment: Segment;
  readonly row: number;
  /** Higher is nearer. */
  readonly rank: number;
}

/**
 * Best first; more than k, where a snapshot, or a write meanwhile, makes an id known twice. For a small
 * k without a filter and a snapshot it sees one state of the space: it pauses only where a graph does
 * not reach its rows.
 * @param segments those of the moment; what is taken out meanwhile must stay readable
 */
export async function nearest(
  segments: () => readonly Segment[],
  query: Query,
  options: NearestOptions,
): Promise<Found[]> {
  const { asOf, filter, cache, pace, k } = options;
  const found: Found[] = [];
  const newest = asOf === undefined ? Infinity : Math.max(...Object.values(asOf));
  // Of an observation that is written again meanwhile the old row may be dead before it is looked at,
  // and the new one stand behind what was searched: so all that came since is searched as well.
  const searchedTo = new Map<Segment, number>();
  const from = (segment: Segment) => searchedTo.get(segment) ?? 0;
  for (;;) {
    const segment = segments().find((each) => each.rows > from(each));
    if (segment === undefined) break;
    const best = new TopK(k);
    const search = new SegmentSearch(segment, from(segment), query, options, best);
    searchedTo.set(segment, segment.rows);
    if (segment.oldest > newest) continue;
    if (asOf === undefined && segment.deaths.count === segment.rows) continue;
    if (filter === undefined) {
      const rest = search.all();
      if (rest !== undefined) await rest;
    } else {
      await search.matching(await cache.matches(filter.key, segment, filter.predicate, pace));
    }
    for (const { row, score } of best.drain()) found.push({ segment, row, rank: score });
    if (k > K_AT_ONCE && pace.isDue()) await pace.turn();
  }
  return found.sort((left, right) => right.rank - left.rank);
}

/** Searches the rows of a segment from one on, as many as there are now. */
class SegmentSearch {
  readonly #segment: Segment;
  readonly #from: number;
  readonly #to: number;
  readonly #query: Query;
  readonly #options: NearestOptions;
  readonly #best: TopK;

  constructor(segment: Segment, from: number, query: Query, options: NearestOptions, best: TopK) {
    this.#segment = segment;
    this.#from = from;
    this.#to = segment.rows;
    this.#query = query;
    this.#options = options;
    this.#best = best;
  }

  /** @returns what is left to wait for, if anything is */
  all(): Promise<void> | undefined {
    const { graphedTo } = this.#segment;
    const { asOf, k } = this.#options;
    if (this.#from > 0) return this.#score(range(this.#from, this.#to));
    const isProposed =
      graphedTo === 0 || this.#propose(this.#breadth(1), graphedTo, (row) => this.#sees(row));
    if (asOf !== undefined) return this.#score(range(isProposed ? graphedTo : 0, this.#to));
    // Before anything pauses: meanwhile rows may go from here into the graph.
    this.#segment.scan(this.#query, k, (row) => {
      if (this.#sees(row)) this.#offer(row);
    });
    return isProposed ? undefined : this.#score(range(0, graphedTo));
  }

  async matching(matches: Matches): Promise<void> {
    const { graphedTo } = this.#segment;
    if (matches.count === 0) return;
    const breadth = this.#breadth(this.#to / matches.count);
    const isDone =
      this.#from === 0 &&
      graphedTo > 0 &&
      this.#propose(breadth, matches.count, (row) => matches.has(row) && this.#sees(row));
    await this.#score(matches.between(isDone ? graphedTo : this.#from, this.#to));
  }

  get #wanted(): number {
    return Math.ceil(this.#options.k * 1.5) + RERANK_MARGIN;
  }

  /** How wide to look so that enough is left of what is dead or does not match. */
  #breadth(rowsAMatch: number): number {
    const { rows, deaths } = this.#segment;
    const rowsALiving = rows / Math.max(1, rows - deaths.count);
    return Math.ceil(Math.max(this.#options.ef, this.#wanted * rowsAMatch) * rowsALiving);
  }

  /**
   * Scores what the graph proposes.
   * @param rows that would be scored otherwise
   * @returns false when it is better to score those: the graph would have to bring too many of them, or
   *   brought too few, or mostly rows that are alike, behind which others may be out of its reach
   */
  #propose(breadth: number, rows: number, accepts: (row: number) => boolean): boolean {
    const { graph, graphedTo } = this.#segment;
    if (this.#options.exact) return false;
    for (let width = breadth; width * EXACT_SHARE < rows; width *= BREADTH_STEP) {
      if (width > breadth && width > WIDENED_MAX) break;
      const near = graph!.search(this.#query.embedding, Math.min(width, graphedTo));
      const taken: number[] = [];
      for (const row of near) {
        if (accepts(row)) taken.push(row);
        if (taken.length === this.#wanted) break;
      }
      if (taken.length < this.#options.k) continue;
      const ranks = taken.map((row) => this.#segment.rank(row, this.#query));
      if (this.#areTwins(ranks)) return false;
      taken.forEach((row, i) => this.#best.offer(row, ranks[i]!));
      return true;
    }
    return false;
  }

  /** Most are as near as each other, and there may be nearer ones. */
  #areTwins(ranks: readonly number[]): boolean {
    const counts = new Map<number, number>();
    let most = 0;
    for (const rank of ranks) {
      if (rank >= this.#options.bestRank) return false;
      const count = (counts.get(rank) ?? 0) + 1;
      counts.set(rank, count);
      most = Math.max(most, count);
    }
    return most > 1 && most > ranks.length / 2;
  }

  async #score(rows: Iterable<number>): Promise<void> {
    let looked = 0;
    for (const row of rows) {
      if (this.#sees(row)) this.#offer(row);
      if (++looked % ROWS_A_LOOK === 0 && this.#options.pace.isDue())
        await this.#options.pace.turn();
    }
  }

  #sees(row: number): boolean {
    return isVisible(this.#segment, row, this.#options.asOf);
  }

  #offer(row: number): void {
    this.#best.offer(row, this.#segment.rank(row, this.#query));
  }
}

function* range(from: number, to: number): Generator<number> {
  for (let row = from; row < to; row++) yield row;
}
