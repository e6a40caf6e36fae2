import type { HistoryEvent, PoisonEvent, ReadEvent, WriteEvent } from './event.ts';

type Ended<E extends HistoryEvent> = Omit<E, 'begun' | 'ended'>;

/** Collects the events of all clients of one process. */
export class HistoryRecorder {
  readonly writes: WriteEvent[] = [];
  readonly poisons: PoisonEvent[] = [];
  readonly reads: ReadEvent[] = [];
  #tick = 0;

  /** Taken when an operation begins, and given back with its outcome. */
  begin(): number {
    return ++this.#tick;
  }

  write(begun: number, event: Ended<WriteEvent>): void {
    this.writes.push({ ...event, begun, ended: ++this.#tick });
  }

  poison(begun: number, event: Ended<PoisonEvent>): void {
    this.poisons.push({ ...event, begun, ended: ++this.#tick });
  }

  read(begun: number, event: Ended<ReadEvent>): void {
    this.reads.push({ ...event, begun, ended: ++this.#tick });
  }

  /** Once they are checked nothing depends on them; writes decide about all that comes later. */
  forgetReads(): void {
    this.reads.length = 0;
  }

  *[Symbol.iterator](): Generator<HistoryEvent> {
    yield* this.writes;
    yield* this.poisons;
    yield* this.reads;
  }
}
