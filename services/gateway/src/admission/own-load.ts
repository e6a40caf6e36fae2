export interface OwnLoadOptions {
  /** Bodies under way, from their arrival to their answer. */
  readonly bytesMax: number;
  /** Frames that wait for the log now, and may at most. */
  readonly publishes: () => number;
  readonly publishesMax: number;
}

/** What this gateway itself has under way. */
export class OwnLoad {
  readonly #options: OwnLoadOptions;
  #bytes = 0;

  constructor(options: OwnLoadOptions) {
    this.#options = options;
  }

  /** Notes a body; returns what to call once it is answered. */
  enter(bytes: number): () => void {
    this.#bytes += bytes;
    return () => {
      this.#bytes -= bytes;
    };
  }

  /** The share of what there may be, and of what. */
  fill(): { readonly fill: number; readonly cause: 'publishes' | 'bytes' } {
    const { bytesMax, publishes, publishesMax } = this.#options;
    const inFlight = publishes() / publishesMax;
    const bytes = this.#bytes / bytesMax;
    return bytes > inFlight
      ? { fill: bytes, cause: 'bytes' }
      : { fill: inFlight, cause: 'publishes' };
  }
}
