import type { Lane } from '@engram/model';

export interface OwnLoadOptions {
  /** Bodies under way, from their first byte to their answer. */
  readonly bytesMax: number;
  /** Frames that wait for the log now, and may at most. */
  readonly publishes: () => number;
  readonly publishesMax: number;
  /** How long what arrives waits until it is looked at, and may at most; 0: for ever. */
  readonly loopDelayMs: () => number;
  readonly loopDelayMaxMs: number;
}

export interface OwnFill {
  /** Share of what there may be. */
  readonly fill: number;
  readonly cause: 'publishes' | 'bytes' | 'loop';
}

/** A body that is under way. */
export interface Underway {
  /** Its size turned out to be another one. */
  resize(bytes: number): void;
  leave(): void;
}

/** `high` is to come through where what it waits for is the others' work. */
const HIGH_LOOP_SHARE = 0.5;

/** What this gateway itself has under way. */
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

  fill(lane: Lane): OwnFill {
    const { bytesMax, publishes, publishesMax, loopDelayMs, loopDelayMaxMs } = this.#options;
    const delay = loopDelayMaxMs === 0 ? 0 : loopDelayMs() / loopDelayMaxMs;
    const fills: readonly OwnFill[] = [
      { fill: publishes() / publishesMax, cause: 'publishes' },
      { fill: this.#bytes / bytesMax, cause: 'bytes' },
      { fill: lane === 'high' ? delay * HIGH_LOOP_SHARE : delay, cause: 'loop' },
    ];
    return fills.reduce((most, each) => (each.fill > most.fill ? each : most));
  }
}
