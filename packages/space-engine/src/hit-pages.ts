import type { Metric } from '@engram/model';
import { publicScore } from '@engram/vector-index';
import type { Pace } from './pace.ts';
import type { Found } from './recall.ts';
import type { StoredObservation } from './segment.ts';

export interface Hit extends StoredObservation {
  /** Cosine similarity, inner product, or for l2 the Euclidean distance. */
  readonly score: number;
}

/** What a hit takes beside its contents, on its way through threads and sockets. */
const HIT_BYTES = 96;
/** Rows read between two looks at the time; half a millisecond from a file. */
const ROWS_A_LOOK = 64;

export interface HitPagesOptions {
  readonly metric: Metric;
  readonly k: number;
  /** A page ends with the hit that reaches it; Infinity for one page. */
  readonly pageBytes: number;
  readonly pace: Pace;
}

/**
 * Reads what a search found, a page at a time and each id once. Rows come best first; those of one score
 * are ordered by id, so that answers of several spaces can be merged as they come.
 */
export async function* hitPages(
  found: readonly Found[],
  { metric, k, pageBytes, pace }: HitPagesOptions,
): AsyncGenerator<Hit[], undefined> {
  const seen = new Set<string>();
  let page: Hit[] = [];
  let bytes = 0;
  for (let from = 0; from < found.length && seen.size < k;) {
    // By the score and not by the rank: two ranks can have the same root.
    const score = publicScore(metric, found[from]!.rank);
    let to = from + 1;
    while (to < found.length && publicScore(metric, found[to]!.rank) === score) to++;
    const alike = to - from > 1 ? await byId(found.slice(from, to), pace) : [found[from]!];
    from = to;
    for (const { segment, row } of alike) {
      const stored = segment.read(row);
      // While a filter was judged, an observation may have been written again elsewhere.
      if (seen.has(stored.id)) continue;
      seen.add(stored.id);
      page.push({ ...stored, score });
      if (seen.size % ROWS_A_LOOK === 0 && pace.isDue()) await pace.turn();
      bytes += bytesOf(stored);
      if (seen.size === k) break;
      if (bytes < pageBytes) continue;
      yield page;
      page = [];
      bytes = 0;
    }
  }
  if (page.length > 0) yield page;
  return undefined;
}

/** Only ids are kept: all rows that were found may be alike. */
async function byId(found: readonly Found[], pace: Pace): Promise<Found[]> {
  const named: { readonly id: string; readonly at: Found }[] = [];
  for (const at of found) {
    named.push({ id: at.segment.read(at.row).id, at });
    if (named.length % ROWS_A_LOOK === 0 && pace.isDue()) await pace.turn();
  }
  named.sort((left, right) => (left.id < right.id ? -1 : left.id > right.id ? 1 : 0));
  return named.map(({ at }) => at);
}

function bytesOf({ id, metadata = '', embedding }: StoredObservation): number {
  return HIT_BYTES + Buffer.byteLength(id) + Buffer.byteLength(metadata) + embedding.byteLength;
}
