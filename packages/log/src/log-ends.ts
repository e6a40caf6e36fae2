/** An entry of a stripe: a log that lost its end gives the sequence again, but not at the same time. */
export interface EntryMark {
  readonly sequence: number;
  /** Absent where only its sequence is known. */
  readonly storedAtMs?: number;
}

/** The newest entry that was seen or heard of in each stream: no position that anybody holds lies behind it. */
export class LogEnds {
  readonly #newest = new Map<string, { sequence: number; storedAtMs: number }>();

  note(stream: string, sequence: number, storedAtMs: number): void {
    const newest = this.#newest.get(stream);
    if (newest === undefined) this.#newest.set(stream, { sequence, storedAtMs });
    else if (sequence > newest.sequence) {
      newest.sequence = sequence;
      newest.storedAtMs = storedAtMs;
    }
  }

  forget(stream: string): void {
    this.#newest.delete(stream);
  }

  copy(): (readonly [stream: string, end: EntryMark])[] {
    return [...this.#newest].map(([stream, end]) => [stream, { ...end }]);
  }
}
