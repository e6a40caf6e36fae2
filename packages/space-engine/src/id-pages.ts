import type { Pace } from './pace.ts';
import { isVisible, type Segment } from './segment.ts';
import { sequenceOf, type Snapshot } from './stamp.ts';

export interface ListedId {
  readonly id: string;
  readonly sequence: number;
}

export interface IdPagesOptions {
  /** A page ends with the id that reaches it. */
  readonly pageBytes: number;
  readonly pace: Pace;
}

/** What an id takes beside its text, on its way through threads and sockets. */
const LISTED_BYTES = 40;
/** Rows between two looks at the time: as many as a sealed segment reads at once. */
const ROWS_A_LOOK = 256;

/**
 * What a snapshot sees of some segments: each row that it sees, so an id that stands in two rows comes
 * twice. Rows that are appended, or die, meanwhile are newer than the snapshot.
 */
export async function* idPages(
  segments: readonly Segment[],
  asOf: Snapshot,
  { pageBytes, pace }: IdPagesOptions,
): AsyncGenerator<ListedId[], undefined> {
  let page: ListedId[] = [];
  let bytes = 0;
  for (const segment of segments) {
    const { rows } = segment;
    for (let from = 0; from < rows; from += ROWS_A_LOOK) {
      segment.forEachId(from, Math.min(rows, from + ROWS_A_LOOK), (row, id, stamp) => {
        if (!isVisible(segment, row, asOf)) return;
        page.push({ id, sequence: sequenceOf(stamp) });
        bytes += LISTED_BYTES + Buffer.byteLength(id);
      });
      if (bytes >= pageBytes) {
        yield page;
        page = [];
        bytes = 0;
      }
      if (pace.isDue()) await pace.turn();
    }
  }
  if (page.length > 0) yield page;
  return undefined;
}
