/** How the index differs from the log in an id. */
export type DifferenceKind = 'missing' | 'extra' | 'stale';

const KINDS: readonly DifferenceKind[] = ['missing', 'extra', 'stale'];

/** An id in which they differ: what the log and the index say, as the sequence of an entry. */
export interface Difference {
  readonly id: string;
  /** Absent where the log has no living one. */
  readonly expected?: number;
  /** Absent where the index has none. */
  readonly found?: number;
}

/** A difference with where it was seen, to be looked at again. */
export interface Suspect extends Difference {
  /** Head of the log at that time: `expected` is as of it. */
  readonly head: number;
}

/** More are counted, not listed. */
const LISTED_MAX = 100;
/** More are not looked at again: something is so wrong that some of them tell it. */
const SUSPECTS_MAX = 10_000;

/** Collects what differs at first sight. */
export class Suspects {
  readonly byId = new Map<string, Suspect>();
  /** Seen twice in one listing: no second look would tell that. */
  readonly twice: Difference[] = [];
  readonly unseen: Record<DifferenceKind, number> = { missing: 0, extra: 0, stale: 0 };
  /** In the index, of entries that are neither in the log any more nor in a checkpoint. */
  unknown = 0;

  add(suspect: Suspect): void {
    if (this.byId.has(suspect.id) || this.byId.size < SUSPECTS_MAX)
      this.byId.set(suspect.id, suspect);
    else this.unseen[kindOf(suspect)]++;
  }

  /** Those of another comparison too. */
  take({ byId, twice, unseen, unknown }: Suspects): void {
    for (const suspect of byId.values()) this.add(suspect);
    this.twice.push(...twice);
    this.unknown += unknown;
    for (const kind of KINDS) this.unseen[kind] += unseen[kind];
  }

  get areAllSeen(): boolean {
    return KINDS.every((kind) => this.unseen[kind] === 0);
  }
}

/** Collects what differs for sure. */
export class Differences {
  readonly totals: Record<DifferenceKind, number>;
  readonly listed: Readonly<Record<DifferenceKind, Difference[]>> = {
    missing: [],
    extra: [],
    stale: [],
  };

  constructor(counted: Readonly<Record<DifferenceKind, number>>) {
    this.totals = { ...counted };
  }

  add({ id, expected, found }: Difference): void {
    const kind = kindOf({ expected, found });
    const difference = {
      id,
      ...(expected === undefined ? {} : { expected }),
      ...(found === undefined ? {} : { found }),
    };
    this.totals[kind]++;
    if (this.listed[kind].length < LISTED_MAX) this.listed[kind].push(difference);
  }

  get isEmpty(): boolean {
    return KINDS.every((kind) => this.totals[kind] === 0);
  }
}

function kindOf({
  expected,
  found,
}: {
  readonly expected?: number | undefined;
  readonly found?: number | undefined;
}): DifferenceKind {
  if (found === undefined) return 'missing';
  return expected === undefined ? 'extra' : 'stale';
}
