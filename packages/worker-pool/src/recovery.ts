// What becomes of the tasks that a thread had when it ended. Pure.
//
//   C1. A task is given up only after two crashes at which it was under way, at the second one alone,
//       with no question beside it either: so it was the one, and nothing that merely stood beside it
//       is taken for it.
//   C2. After a crash every task that was under way is tried alone before anything else is.

export class Recovery<T> {
  #suspects: T[] = [];
  /** The suspect that is alone under way. */
  #alone: { readonly task: T } | undefined;

  /** Suspects are tried one at a time: nothing else may be sent. */
  get isIsolating(): boolean {
    return this.#alone !== undefined || this.#suspects.length > 0;
  }

  /**
   * The thread has ended with these tasks under way.
   * @returns the task that is given up, if one is (C1)
   */
  crashed(underWay: readonly T[]): T | undefined {
    const alone = this.#alone;
    this.#alone = undefined;
    // Who is alone became a suspect at an earlier crash, so this is its second one.
    if (alone !== undefined) return alone.task;
    this.#suspects.push(...underWay);
    return undefined;
  }

  /** The suspect to send alone now; undefined while one is under way, or when none is left. */
  next(): T | undefined {
    if (this.#alone !== undefined) return undefined;
    const task = this.#suspects.shift();
    if (task !== undefined) this.#alone = { task };
    return task;
  }

  /** The suspect that was alone under way is answered. */
  answered(): void {
    this.#alone = undefined;
  }

  /** All that waits for its turn. */
  get waiting(): readonly T[] {
    return this.#suspects;
  }

  /** Nothing is tried any more: hands over what waited, once. */
  end(): readonly T[] {
    return this.#suspects.splice(0);
  }
}
