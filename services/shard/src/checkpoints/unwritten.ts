/** Entries that lie together are counted as one: a checkpoint is due after many times as much. */
const CHUNK_BYTES = 16 * 1024;

/** What came to a partition since its last checkpoint, in the order in which it was applied. */
export class Unwritten {
  readonly #chunks: { newest: number; bytes: number }[] = [];
  /** The newest entry that ever came. */
  newest = 0;

  add(sequence: number, bytes: number): void {
    this.newest = Math.max(this.newest, sequence);
    const last = this.#chunks.at(-1);
    if (last === undefined || last.bytes + bytes > CHUNK_BYTES)
      this.#chunks.push({ newest: sequence, bytes });
    else {
      last.newest = Math.max(last.newest, sequence);
      last.bytes += bytes;
    }
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Of entries that a checkpoint up to this sequence is sure to have. */
  bytesTo(sequence: number): number {
    return this.#chunks.reduce(
      (sum, { newest, bytes }) => sum + (newest <= sequence ? bytes : 0),
      0,
    );
  }

  /** There is a checkpoint up to this sequence. */
  written(sequence: number): void {
    const left = this.#chunks.filter(({ newest }) => newest > sequence);
    this.#chunks.splice(0, this.#chunks.length, ...left);
  }
}
