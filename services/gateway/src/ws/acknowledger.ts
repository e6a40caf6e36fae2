// Answers the batches of a session that are in the log, in their order, once they have reached the level
// that the session asks for. Those that come while others are waited for are waited for together.

import { latestPosition, parsePosition, type AckLevel } from '@engram/model';
import type { Refused } from '@engram/session';
import type { Acknowledgement, Ingest } from '../ingest/ingest.ts';
import type { Written } from './writer.ts';

export interface Answer {
  readonly upTo: number;
  readonly level: AckLevel;
  readonly position: string | undefined;
  readonly refused: readonly Refused[];
}

export interface AcknowledgerOptions {
  readonly ingest: Pick<Ingest, 'reach'>;
  readonly ack: Acknowledgement;
  readonly onAnswer: (answer: Answer) => void;
}

export class Acknowledger {
  readonly #options: AcknowledgerOptions;
  #waiting: Written[] = [];
  /** Of all that was written. */
  #position: string | undefined;
  #isRunning = false;

  constructor(options: AcknowledgerOptions) {
    this.#options = options;
  }

  add(written: Written): void {
    this.#waiting.push(written);
    if (this.#options.ack.level === 'logged') this.#answer('logged', this.#take());
    else if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    const { ingest, ack } = this.#options;
    while (this.#waiting.length > 0) {
      const written = this.#take();
      const config = written.findLast((each) => each.config !== undefined)?.config;
      const position = this.#position;
      const level =
        config === undefined || position === undefined
          ? ack.level
          : await ingest.reach(config, parsePosition(position, ''), ack);
      this.#answer(level, written);
    }
    this.#isRunning = false;
  }

  #take(): Written[] {
    const written = this.#waiting;
    this.#waiting = [];
    for (const { position } of written) this.#position = latestPosition(this.#position, position);
    return written;
  }

  #answer(level: AckLevel, written: readonly Written[]): void {
    const last = written.at(-1);
    if (last === undefined) return;
    this.#options.onAnswer({
      upTo: last.seq,
      level,
      position: this.#position,
      refused: written.flatMap(({ refused }) => refused ?? []),
    });
  }
}
