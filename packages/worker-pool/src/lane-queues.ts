import { LANES, perLane, type Lane } from '@engram/model';

/** Every so many takes a lower lane has its turn, so that no flood starves one for ever. */
const LOWER_LANE_TURN = 16;

/** First-in-first-out queues by priority; the bound is what the log reader lets in. */
export class LaneQueues<T> {
  readonly #queues = perLane<{ items: T[]; head: number }>(() => ({ items: [], head: 0 }));
  #takes = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(lane: Lane, item: T): void {
    this.#queues[lane].items.push(item);
    this.#size++;
  }

  /** The next item: of the highest lane, but now and then of one of the lower that wait, in turn. */
  take(): T | undefined {
    if (this.#size === 0) return undefined;
    this.#takes++;
    const [highest, ...lower] = LANES.filter((lane) => this.#depth(lane) > 0);
    const turn = this.#takes / LOWER_LANE_TURN;
    const lane = (Number.isInteger(turn) ? lower[turn % lower.length] : undefined) ?? highest;
    return lane === undefined ? undefined : this.#shift(lane);
  }

  #depth(lane: Lane): number {
    return this.#queues[lane].items.length - this.#queues[lane].head;
  }

  /** O(1) amortised: the taken part is cut off when it is the larger half. */
  #shift(lane: Lane): T | undefined {
    const queue = this.#queues[lane];
    const item = queue.items[queue.head++];
    this.#size--;
    if (queue.head * 2 >= queue.items.length) {
      queue.items = queue.items.slice(queue.head);
      queue.head = 0;
    }
    return item;
  }
}
