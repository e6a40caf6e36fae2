/** What the sessions of a gateway have sent and is not in the log yet. */
export class Backlog {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get fill(): number {
    return this.#bytes / this.#bytesMax;
  }

  enter(bytes: number): void {
    this.#bytes += bytes;
  }

  leave(bytes: number): void {
    this.#bytes -= bytes;
  }
}
