export interface OwnLoadOptions {
  /** Bodies under way, from their first byte to their answer. */
  readonly bytesMax: number;
  /** Frames that wait for the log now, and may at most. */
  readonly publishes: () => number;
  readonly publishesMax: number;
}

export interface OwnFill {
  /** Share of what there may be. */
  readonly fill: number;
  readonly cause: 'publishes' | 'bytes';
}

/** A body that is under way. */
export interface Underway {
  /** Its size turned out to be another one. */
  resize(bytes: number): void;
  leave(): void;
}

/** What this gateway itself holds. */
export class OwnLoad {
  readonly #options: OwnLoadOptions;
  #bytes = 0;

  constructor(options: OwnLoadOptions) {
    this.#options = options;
  }

  enter(bytes: number): Underway {
    let held = bytes;
    this.#bytes += held;
    const resize = (size: number) => {
      this.#bytes += size - held;
      held = size;
    };
    return { resize, leave: () => resize(0) };
  }

  fill(): OwnFill {
    const { bytesMax, publishes, publishesMax } = this.#options;
    const inFlight = publishes() / publishesMax;
    const bytes = this.#bytes / bytesMax;
    return bytes > inFlight
      ? { fill: bytes, cause: 'bytes' }
      : { fill: inFlight, cause: 'publishes' };
  }
}
