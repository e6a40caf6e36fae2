import assert from 'node:assert/strict';
import type { SpaceConfig } from '@engram/model';
import { MemorySegment } from './memory-segment.ts';
import type { SealedSegment } from './sealed-segment.ts';
import type { Segment } from './segment.ts';

/** Segments of one space; their numbers stand in two bytes of the id table. */
const NUMBER_MAX = 65_535;

/** The segments as they were at one moment; none of them is closed before this is released. */
export interface Pin {
  readonly segments: readonly Segment[];
  /** A second time does nothing. */
  release(): void;
}

/** Taken out while recalls may still read it: those that pinned the segments before. */
interface Retired {
  readonly segment: { close(): void };
  /** Pins below this number were taken before. */
  readonly pinsTo: number;
}

/** The segments that make up a space: those in memory, of which the last one grows, and the sealed. */
export class SegmentSet {
  readonly #config: SpaceConfig;
  readonly #byNumber = new Map<number, Segment>();
  #memory: MemorySegment[] = [];
  #sealed: SealedSegment[] = [];
  /** In the order in which they were taken out. */
  #retired: Retired[] = [];
  /** Ascending, as they were taken. */
  readonly #pins = new Set<number>();
  #nextPin = 0;

  constructor(config: SpaceConfig) {
    this.#config = config;
  }

  get memory(): readonly MemorySegment[] {
    return this.#memory;
  }

  get sealed(): readonly SealedSegment[] {
    return this.#sealed;
  }

  get all(): readonly Segment[] {
    return [...this.#sealed, ...this.#memory];
  }

  get(number: number): Segment {
    const segment = this.#byNumber.get(number);
    assert(segment !== undefined, 'the id table names a segment of the space');
    return segment;
  }

  /** The segment that new rows go to. */
  get growing(): MemorySegment {
    return this.#memory.at(-1) ?? this.roll();
  }

  /** Begins a new growing segment. */
  roll(): MemorySegment {
    const segment = new MemorySegment(this.freeNumber(), this.#config);
    this.grow(segment);
    return segment;
  }

  /** Adds a segment that new rows go to from now on. */
  grow(segment: MemorySegment): void {
    this.#byNumber.set(segment.number, segment);
    this.#memory.push(segment);
  }

  /** Adds a segment that no new rows go to. */
  addFull(segment: MemorySegment): void {
    this.#byNumber.set(segment.number, segment);
    this.#memory.splice(-1, 0, segment);
  }

  addSealed(segment: SealedSegment): void {
    this.#byNumber.set(segment.number, segment);
    this.#sealed.push(segment);
  }

  remove(segments: readonly (MemorySegment | SealedSegment)[]): void {
    const gone = new Set<Segment>(segments);
    for (const segment of segments) {
      if (this.#byNumber.get(segment.number) === segment) this.#byNumber.delete(segment.number);
      this.#retired.push({ segment, pinsTo: this.#nextPin });
    }
    this.#memory = this.#memory.filter((segment) => !gone.has(segment));
    this.#sealed = this.#sealed.filter((segment) => !gone.has(segment));
    this.#closeRetired();
  }

  freeNumber(): number {
    for (let number = 1; number <= NUMBER_MAX; number++)
      if (!this.#byNumber.has(number)) return number;
    assert.fail('a space has fewer segments');
  }

  /** For what pauses while it reads, or goes on for a while. */
  pin(): Pin {
    const pin = this.#nextPin++;
    this.#pins.add(pin);
    return {
      segments: this.all,
      release: () => {
        if (this.#pins.delete(pin)) this.#closeRetired();
      },
    };
  }

  close(): void {
    this.remove([...this.#memory, ...this.#sealed]);
  }

  #closeRetired(): void {
    const [oldestPin = Infinity] = this.#pins;
    // Only by what came before it: or recalls that follow each other would keep all for ever.
    const firstKept = this.#retired.findIndex(({ pinsTo }) => pinsTo > oldestPin);
    const closable = this.#retired.splice(0, firstKept < 0 ? this.#retired.length : firstKept);
    for (const { segment } of closable) segment.close();
  }
}
