// What goes on beside applying and recalling: rows move from memory into graphs, full segments become
// files, files are merged, idle spaces leave memory.
//
//   U1. A row is in exactly one segment of the space at every moment that a recall can see.
//   U2. Only the space's own thread changes its segments. Others may build files for it (segment-build),
//       which it then takes in, or not, as a whole.
//   U3. What cannot be written stays in memory and is tried again.

import { ClusterError } from '@engram/model';
import { GRAPH_ENGINES, type Encoding } from '@engram/vector-index';
import { compacted } from './compaction.ts';
import { graphPath, rowsPath, type Manifest } from './manifest.ts';
import type { MemorySegment } from './memory-segment.ts';
import { Merging, type Merge } from './merging.ts';
import type { SealedSegment } from './sealed-segment.ts';
import type { BuildJob, BuildResult } from './segment-build.ts';
import type { SpaceEngine } from './space-engine.ts';
import { removeFolder, SpaceFiles } from './space-files.ts';

/** Dead rows of a segment in memory that are worth copying the living out. */
const COMPACTED_DEAD_MIN = 1_024;
/** A tick comes twice a second, and keeps others waiting. */
const CLEARED_A_TICK = 8;
/** A failed write is tried again after so many calls of `tend`. */
const TENDS_AFTER_FAULT = 100;
/** Smaller segments are not worth a file when memory is short. */
const ROLLED_BYTES_MIN = 4 * 1024 * 1024;

/** Embeddings of a space that are searched exactly for as long as they are written again and again. */
const SCANNED_BYTES_MAX = 16 * 1024 * 1024;

type Away =
  | { readonly kind: 'graph'; readonly segment: MemorySegment }
  | { readonly kind: 'merge'; readonly merge: Merge };

export class Upkeep {
  readonly engine: SpaceEngine;
  /** Work that another thread does for this space, by the job's number. */
  readonly #away = new Map<number, Away>();
  readonly #files: SpaceFiles;
  readonly #merging: Merging;
  /** Of the last graph. */
  #encoding: Encoding | undefined;
  /** What is being written; one thing at a time. */
  #write: Promise<boolean> | undefined;
  #pausedTends = 0;
  #restructurings = 0;

  constructor(engine: SpaceEngine, files = new SpaceFiles(engine)) {
    this.engine = engine;
    this.#files = files;
    this.#merging = new Merging(engine, files);
  }

  /** No row waits for a graph, and nothing is built elsewhere. */
  get isIndexed(): boolean {
    return this.engine.backlog === 0;
  }

  /** Rises with whatever makes the next checkpoint differ from the last one. */
  get changes(): number {
    return this.engine.changes + this.#restructurings;
  }

  /** Rows that wait for a graph and are not given away. */
  get backlog(): number {
    if (!this.engine.needsGraph) return 0;
    return this.#waiting().reduce((sum, { backlog }) => sum + backlog, 0);
  }

  /** `tend` has something to do. */
  get isUntended(): boolean {
    return this.#pausedTends > 0 || this.#full() !== undefined;
  }

  /**
   * Moves rows into graphs until `shouldStop` says so, oldest first.
   * @returns whether more wait
   */
  buildGraph(shouldStop: () => boolean): boolean {
    const { engine } = this;
    if (!engine.needsGraph) return false;
    const factory = GRAPH_ENGINES[engine.config.engine];
    for (const segment of this.#waiting()) {
      segment.buildGraph(factory, this.#encoding, shouldStop);
      this.#encoding = segment.encoding;
      if (segment.backlog > 0) return true;
      if (shouldStop()) break;
    }
    return this.backlog > 0;
  }

  /** Ends the growing segment when it is full; cheap, to be called often. */
  roll(): void {
    const { segments, options, needsGraph } = this.engine;
    const { growing } = segments;
    const isWorn = growing.deaths.count >= Math.max(COMPACTED_DEAD_MIN * 4, growing.rows / 2);
    if (growing.stored.storedBytes >= options.segmentBytesMax || (isWorn && needsGraph))
      segments.roll();
  }

  /** Ends the growing segment although it is not full, so that its memory becomes files. */
  rollGraphed(): void {
    const { segments } = this.engine;
    const { growing } = segments;
    if (growing.graph !== undefined && growing.stored.storedBytes >= ROLLED_BYTES_MIN)
      segments.roll();
  }

  /** Seals one segment that is full and whole in its graph. @returns whether there was one */
  async tend(): Promise<boolean> {
    if (this.#write !== undefined) return false;
    if (this.#pausedTends > 0) {
      this.#pausedTends--;
      return false;
    }
    const segment = this.#full();
    if (segment === undefined) return false;
    return this.#writing(async () => {
      await this.#seal(segment);
      await this.#writeManifest();
    });
  }

  /**
   * A segment whose graph another thread may build: the largest that waits, or half of what waits in
   * the one that is being built. Its rows are in a file when this resolves.
   */
  async giveWork(rowsMin: number): Promise<BuildJob | undefined> {
    if (this.#write !== undefined || !this.engine.needsGraph || this.#pausedTends > 0)
      return undefined;
    const segment = this.#stealable(rowsMin);
    if (segment === undefined) return undefined;
    let job: BuildJob | undefined;
    await this.#writing(async () => {
      const { folder } = this.engine.options;
      const file = this.#files.take();
      // From here on the owner leaves its graph alone (U2).
      this.#away.set(file, { kind: 'graph', segment });
      try {
        const checksum = await this.#files.writeRows(segment, file);
        job = {
          id: file,
          space: this.engine.config.space,
          options: this.#graphOptions(),
          inputs: [{ path: rowsPath(folder, file), rows: segment.rows, checksum }],
          graphPath: graphPath(folder, file),
        };
      } catch (error) {
        this.#away.delete(file);
        throw error;
      }
    });
    return job;
  }

  /** Sealed segments that are better merged into one; any thread may do it. */
  giveMerge(): BuildJob | undefined {
    const busy = new Set<SealedSegment>();
    for (const away of this.#away.values())
      if (away.kind === 'merge') for (const segment of away.merge.segments) busy.add(segment);
    const merge = this.#merging.plan(busy, this.#graphOptions());
    if (merge === undefined) return undefined;
    this.#away.set(merge.job.id, { kind: 'merge', merge });
    return merge.job;
  }

  /** Takes in what another thread has built. A file that is not right is left out, and reported. */
  async finish(result: BuildResult): Promise<void> {
    // A manifest that is being written knows nothing of it, and would have its files removed.
    while (this.#write !== undefined) await this.#write;
    const away = this.#away.get(result.id);
    if (away === undefined) return; // The space was emptied meanwhile.
    try {
      if (away.kind === 'graph') this.#replace(away.segment, result.id, result.graph);
      else this.#merging.take(away.merge, result);
      this.#restructurings++;
    } catch (error) {
      this.engine.options.onFault(ClusterError.from(error));
    } finally {
      this.#away.delete(result.id);
    }
    await this.#writing(async () => {
      await this.#writeManifest();
    });
  }

  /**
   * What was given away comes back undone: its thread has ended, or it failed.
   * @returns false when the space did not give it: one of its name did, and was deleted since
   */
  abandon(jobId: number): boolean {
    return this.#away.delete(jobId);
  }

  /** Removes what no snapshot may ask for any more. */
  tick(nowMs: number, isShort: boolean): void {
    const { retention, segments } = this.engine;
    retention.tick(nowMs, isShort);
    for (const segment of segments.memory) segment.look(nowMs);
    if (this.#write !== undefined) return; // rows may be on their way to a file
    let cleared = 0;
    for (const segment of this.#own()) {
      if (segment === segments.growing || !segment.isSpent) continue;
      if (this.#clear(segment) && ++cleared === CLEARED_A_TICK) break;
    }
    const { growing } = segments;
    if (growing.graph !== undefined || this.#isAway(growing)) return;
    const living = growing.rows - growing.deaths.count;
    const least = Math.max(COMPACTED_DEAD_MIN, living);
    if (growing.deaths.count < least) return;
    if (retention.countRemovable(growing.deaths) >= least)
      segments.grow(compacted(this.engine, growing));
  }

  /**
   * Writes everything to files and closes the space. Nothing may be applied or recalled meanwhile or
   * afterwards. @returns false when rows wait for a graph, or files could not be written
   */
  async unload(): Promise<boolean> {
    if (this.#write !== undefined || this.#away.size > 0 || !this.isIndexed) return false;
    const isWritten = await this.#writing(async () => {
      for (const segment of [...this.engine.segments.memory])
        if (segment.graph !== undefined && segment.backlog === 0) await this.#seal(segment);
        else await this.#files.writePart(segment);
      await this.#writeManifest();
    });
    if (isWritten) this.engine.segments.close();
    return isWritten;
  }

  /**
   * Brings the files up to date while everything goes on. What was applied before the call is in them;
   * rows of segments that are still in memory are in files without a graph.
   * @param use given what the space is made of, while none of its files is removed; everything else that
   *   writes waits for it
   * @returns what `use` does, or undefined when something could not be written (U3)
   * @throws what `use` does
   */
  async checkpoint<T>(use: (manifest: Manifest) => Promise<T>): Promise<T | undefined> {
    while (this.#write !== undefined) await this.#write;
    const { segments } = this.engine;
    let used: Promise<T> | undefined;
    await this.#writing(async () => {
      const pin = segments.pin(); // none of them is released while it is written
      try {
        for (const segment of [...segments.memory]) await this.#files.writePart(segment);
        used = use(await this.#writeManifest(true));
        await used.catch(() => undefined); // it is the caller's, and no failed write
      } finally {
        pin.release();
      }
    });
    return used;
  }

  /** Empties the space and removes its files. */
  async destroy(): Promise<void> {
    this.#away.clear();
    while (this.#write !== undefined) await this.#write;
    this.engine.segments.close();
    await removeFolder(this.engine.options);
  }

  /** Segments in memory that are not given away. */
  #own(): MemorySegment[] {
    return this.engine.segments.memory.filter((segment) => !this.#isAway(segment));
  }

  /** Of those that get a graph here, the ones of which rows are not in it yet. */
  #waiting(): MemorySegment[] {
    const { config, ids } = this.engine;
    const isSmall = ids.size * config.dimension * 4 <= SCANNED_BYTES_MAX;
    return this.#own().filter(
      ({ backlog, isSpent, isDying }) => backlog > 0 && !isSpent && !(isDying && isSmall),
    );
  }

  #isAway(segment: MemorySegment): boolean {
    for (const away of this.#away.values())
      if (away.kind === 'graph' && away.segment === segment) return true;
    return false;
  }

  #full(): MemorySegment | undefined {
    if (!this.engine.needsGraph) return undefined;
    const { growing } = this.engine.segments;
    return this.#own().find(
      (segment) => segment !== growing && segment.backlog === 0 && !segment.isSpent,
    );
  }

  #stealable(rowsMin: number): MemorySegment | undefined {
    const { segments } = this.engine;
    const waiting = this.#waiting().filter(({ backlog }) => backlog >= rowsMin);
    const largest = waiting.reduce<MemorySegment | undefined>(
      (best, each) => (best === undefined || each.backlog > best.backlog ? each : best),
      undefined,
    );
    if (largest === undefined) return undefined;
    const isUntouched = largest.graphedTo === 0 && waiting.some((each) => each !== largest);
    if (isUntouched) {
      if (largest === segments.growing) segments.roll();
      return largest;
    }
    const block = largest.splitBlock;
    const from = block * largest.stored.blockRows;
    if (largest.rows - from < rowsMin / 2) return undefined;
    // New rows go to neither: the one is the owner's to finish, the other is given away.
    if (largest === segments.growing) segments.roll();
    const number = segments.freeNumber();
    const [head, tail] = largest.split(block, number);
    segments.remove([largest]);
    segments.addFull(head);
    segments.addFull(tail);
    this.#relocate(largest.number, from, number);
    return tail;
  }

  /** Points the ids of rows from `from` on to the segment that they were split into. */
  #relocate(segment: number, from: number, to: number): void {
    this.engine.ids.relocate((number, row) =>
      number === segment && row >= from ? { segment: to, row: row - from } : undefined,
    );
  }

  async #seal(segment: MemorySegment): Promise<void> {
    const file = this.#files.take();
    await this.#files.writeRows(segment, file);
    this.#replace(segment, file, await this.#files.writeGraph(segment, file));
  }

  /** The segment's rows and graph are in files: those take its place, number and deaths. */
  #replace(segment: MemorySegment, file: number, graph: BuildResult['graph']): void {
    const { segments } = this.engine;
    const { number, rows, deaths, oldest } = segment;
    const sealed = this.#files.open(number, file, rows, graph, deaths, oldest);
    segments.remove([segment]);
    segments.addSealed(sealed);
    this.#restructurings++;
  }

  /** Rids a spent segment that is full of its removable rows, once those are most of it. @returns whether it did */
  #clear(segment: MemorySegment): boolean {
    const { retention, segments } = this.engine;
    const { deaths, rows } = segment;
    const removable = retention.countRemovable(deaths);
    if (removable < Math.min(deaths.count, rows / 2)) return false;
    if (removable < rows) segments.addFull(compacted(this.engine, segment));
    else {
      // As most are where all is written again and again: nothing has to be looked at row by row.
      retention.removedOf(deaths);
      segments.remove([segment]);
    }
    this.#restructurings++;
    return true;
  }

  /** Runs one thing that writes; a failure is reported and rests a while (U3). */
  #writing(run: () => Promise<void>): Promise<boolean> {
    const attempt = async () => {
      try {
        await run();
        return true;
      } catch (error) {
        this.#pausedTends = TENDS_AFTER_FAULT;
        this.engine.options.onFault(ClusterError.from(error));
        return false;
      } finally {
        this.#write = undefined;
      }
    };
    return (this.#write = attempt());
  }

  #writeManifest(isCheckpoint = false): Promise<Manifest> {
    return this.#files.writeManifest(this.engine, () => this.#away.keys(), isCheckpoint);
  }

  #graphOptions(): BuildJob['options'] {
    const { dimension, metric, engine, quantization, m, efConstruction } = this.engine.config;
    return { dimension, metric, engine, quantization, m, efConstruction };
  }
}
