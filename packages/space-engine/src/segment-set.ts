import assert from 'node:assert/strict';
import type { SpaceConfig } from '@engram/model';
import { MemorySegment } from './memory-segment.ts';
import type { SealedSegment } from './sealed-segment.ts';
import type { Segment } from './segment.ts';

/** Segments of one space; their numbers stand in two bytes of the id table. */
const NUMBER_MAX = 65_535;

/** The segments that make up a space: those in memory, of which the last one grows, and the sealed. */
export class SegmentSet {
  readonly #config: SpaceConfig;
  readonly #byNumber = new Map<number, Segment>();
  #memory: MemorySegment[] = [];
  #sealed: SealedSegment[] = [];
  /** Taken out while recalls may still read them. */
  #retired: { close(): void }[] = [];
  #readers = 0;

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
      this.#retired.push(segment);
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

  /** Runs something that may pause while it reads; no segment that it sees is closed meanwhile. */
  async reading<T>(run: (segments: readonly Segment[]) => Promise<T>): Promise<T> {
    this.#readers++;
    try {
      return await run(this.all);
    } finally {
      this.#readers--;
      this.#closeRetired();
    }
  }

  close(): void {
    this.remove([...this.#memory, ...this.#sealed]);
  }

  #closeRetired(): void {
    if (this.#readers > 0) return;
    for (const segment of this.#retired) segment.close();
    this.#retired = [];
  }
}
