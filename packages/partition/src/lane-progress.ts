/**
 * How far one lane of one partition has come. Entries arrive in ascending sequence and finish in any
 * order; `applied` is the sequence up to which everything that arrived is finished.
 */
export class LaneProgress {
  readonly #inFlight: { readonly sequence: number; isDone: boolean }[] = [];
  #received = 0;
  #applied = 0;

  /** Highest sequence that arrived. */
  get received(): number {
    return this.#received;
  }

  get applied(): number {
    return this.#applied;
  }

  get inFlight(): number {
    return this.#inFlight.length;
  }

  /** Notes an arrival; undefined when the entry came before, else what to call when it is finished. */
  receive(sequence: number): (() => void) | undefined {
    if (sequence <= this.#received) return undefined;
    this.#received = sequence;
    const entry = { sequence, isDone: false };
    this.#inFlight.push(entry);
    return () => {
      entry.isDone = true;
      while (this.#inFlight[0]?.isDone === true) this.#applied = this.#inFlight.shift()!.sequence;
    };
  }
}
