/**
 * How far one lane of one partition has come. Entries arrive in ascending sequence and finish in any
 * order; `applied` is the sequence up to which everything that arrived is finished.
 */
export class LaneProgress {
  #inFlight: { readonly sequence: number; isDone: boolean }[] = [];
  /** Entries before this are finished; they are cut off when they are the larger half. */
  #head = 0;
  #received: number;
  #applied: number;

  /** @param from everything up to this sequence is applied already */
  constructor(from = 0) {
    this.#received = from;
    this.#applied = from;
  }

  /** Highest sequence that arrived. */
  get received(): number {
    return this.#received;
  }

  get applied(): number {
    return this.#applied;
  }

  /** Everything of the lane before this is finished, whatever came; undefined with nothing in flight. */
  get firstInFlight(): number | undefined {
    return this.#inFlight[this.#head]?.sequence;
  }

  get inFlight(): number {
    return this.#inFlight.length - this.#head;
  }

  /** Notes an arrival; undefined when the entry came before, else what to call when it is finished. */
  receive(sequence: number): (() => void) | undefined {
    if (sequence <= this.#received) return undefined;
    this.#received = sequence;
    const entry = { sequence, isDone: false };
    this.#inFlight.push(entry);
    return () => {
      entry.isDone = true;
      while (this.#inFlight[this.#head]?.isDone === true)
        this.#applied = this.#inFlight[this.#head++]!.sequence;
      if (this.#head * 2 >= this.#inFlight.length) {
        this.#inFlight = this.#inFlight.slice(this.#head);
        this.#head = 0;
      }
    };
  }
}
