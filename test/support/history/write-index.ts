import { LANES, type Lane, type WriteEvent } from './event.ts';

/** Highest sequence of each lane that a position covers. */
export type Bound = Readonly<Record<Lane, number>>;

export const EVERYTHING: Bound = { high: Infinity, normal: Infinity, low: Infinity };

const TOKEN = /^\d+-(\d+)\.(\d+)\.(\d+)$/;

/** @throws Error for what is no position: then the recorder is wrong, or the product is */
export function boundOf(position: string): Bound {
  const match = TOKEN.exec(position);
  if (match === null) throw new Error(`not a position: ${position}`);
  const [high, normal, low] = match.slice(1).map(Number) as [number, number, number];
  return { high, normal, low };
}

export function covers(bound: Bound, other: Bound): boolean {
  return LANES.every((lane) => bound[lane] >= other[lane]);
}

export interface KnownWrite extends WriteEvent {
  readonly sequence: number;
}

/** All writes of one id of one space. */
export class IdWrites {
  /** Acknowledged, by their sequence. */
  readonly known: KnownWrite[] = [];
  readonly unknown: WriteEvent[] = [];

  add(write: WriteEvent): void {
    if (write.outcome === 'unknown') this.unknown.push(write);
    else if (isKnown(write)) this.known.push(write);
  }

  /** The write that decides what is there for all who see exactly this much of the log. */
  decisive(bound: Bound): KnownWrite | undefined {
    return this.known.findLast(({ lane, sequence }) => sequence <= bound[lane]);
  }

  /**
   * Whether the snapshot at the bound is open: a later entry of another lane may have come before one
   * that the bound covers, which then is in no snapshot.
   */
  isOvertaken(bound: Bound): boolean {
    return this.known.some(
      (later) =>
        later.sequence > bound[later.lane] &&
        this.known.some(
          (earlier) =>
            earlier.lane !== later.lane &&
            earlier.sequence < later.sequence &&
            earlier.sequence <= bound[earlier.lane],
        ),
    );
  }
}

/** Writes by place and by version, complete before anything is looked up. */
export class WriteIndex {
  readonly #spaces = new Map<string, Map<string, IdWrites>>();
  readonly #versions = new Map<number, WriteEvent[]>();

  constructor(writes: Iterable<WriteEvent>) {
    for (const write of writes) {
      this.of(write.space, write.id).add(write);
      if (write.kind === 'delete') continue;
      const same = this.#versions.get(write.version);
      if (same === undefined) this.#versions.set(write.version, [write]);
      else same.push(write);
    }
    for (const ids of this.#spaces.values())
      for (const { known } of ids.values()) known.sort((a, b) => a.sequence - b.sequence);
  }

  spaces(): Iterable<string> {
    return this.#spaces.keys();
  }

  ids(space: string): ReadonlyMap<string, IdWrites> {
    return this.#spaces.get(space) ?? new Map<string, IdWrites>();
  }

  of(space: string, id: string): IdWrites {
    let ids = this.#spaces.get(space);
    if (ids === undefined) {
      ids = new Map<string, IdWrites>();
      this.#spaces.set(space, ids);
    }
    let writes = ids.get(id);
    if (writes === undefined) ids.set(id, (writes = new IdWrites()));
    return writes;
  }

  /** The puts of a version: several where one was published several times. */
  puts(version: number): readonly WriteEvent[] {
    return this.#versions.get(version) ?? [];
  }
}

export function isKnown(write: WriteEvent): write is KnownWrite {
  return write.outcome === 'ok' && write.sequence !== undefined;
}
