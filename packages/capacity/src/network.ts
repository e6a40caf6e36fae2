// A queueing network in virtual time: stations with threads and a queue, and the cores they run on.
//
//   N1. A thread that has work always shares a core: n threads on C cores get min(1, C / n) of one each
//       (egalitarian processor sharing, Kleinrock 1967: what a fair scheduler with short slices comes to).
//   N2. A queue is first come, first served, and no thread rests while something waits.
//   N3. Background work takes a thread only where nothing waits, and a core only that nobody else wants,
//       in slices: so shards build graphs.

import { MinHeap } from './min-heap.ts';

/** Of a shard's graph building, so that nothing urgent waits for long. */
const SLICE_MS = 1.5;

interface Task {
  readonly station: Station;
  readonly done: () => void;
}

/** Cores that some stations share. */
export class CorePool {
  readonly name: string;
  /** May be a fraction, where idle processes have the rest. */
  readonly cores: number;
  readonly stations: Station[] = [];
  readonly #running = new MinHeap<Task>();
  /** What each running thread has got since the beginning, by N1. */
  #got = 0;
  #atMs = 0;
  #busyMs = 0;

  constructor(name: string, cores: number) {
    this.name = name;
    this.cores = cores;
  }

  get hasFreeCore(): boolean {
    return this.#running.size < this.cores;
  }

  /** Cores in use on average so far. */
  usedCores(nowMs: number): number {
    return nowMs === 0 ? 0 : this.#busyMs / nowMs;
  }

  start(nowMs: number, cpuMs: number, task: Task): void {
    this.#advance(nowMs);
    this.#running.add(this.#got + cpuMs, task);
  }

  /** When the first of those that run will be done. */
  get nextAtMs(): number {
    if (this.#running.size === 0) return Infinity;
    return this.#atMs + Math.max(0, this.#running.firstKey - this.#got) / this.#rate;
  }

  finish(nowMs: number): Task {
    this.#advance(nowMs);
    return this.#running.take()!;
  }

  get #rate(): number {
    return Math.min(1, this.cores / this.#running.size);
  }

  #advance(nowMs: number): void {
    const elapsed = nowMs - this.#atMs;
    this.#atMs = nowMs;
    if (this.#running.size === 0) return;
    this.#got += elapsed * this.#rate;
    this.#busyMs += elapsed * Math.min(this.#running.size, this.cores);
  }
}

interface Visit {
  readonly cpuMs: number;
  readonly done: () => void;
}

/** A process, or a thread of one. */
export class Station {
  readonly name: string;
  readonly threads: number;
  readonly pool: CorePool;
  #waiting: Visit[] = [];
  #head = 0;
  #running = 0;
  backgroundMs = 0;
  #atMs = 0;
  #runningMs = 0;
  #waitingMs = 0;
  waitingMax = 0;

  constructor(name: string, threads: number, pool: CorePool) {
    this.name = name;
    this.threads = threads;
    this.pool = pool;
  }

  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  /** Whether none of its threads has anything to do. */
  get isIdle(): boolean {
    return this.#running === 0;
  }

  get hasFreeThread(): boolean {
    return this.#running < this.threads;
  }

  /** Threads that ran or wanted to, and visits that waited for one, on average so far. */
  averages(nowMs: number): { readonly running: number; readonly waiting: number } {
    this.#count(nowMs);
    const over = Math.max(nowMs, Number.MIN_VALUE);
    return { running: this.#runningMs / over, waiting: this.#waitingMs / over };
  }

  enqueue(nowMs: number, visit: Visit): void {
    this.#count(nowMs);
    this.#waiting.push(visit);
    // One that a thread takes at once did not wait.
    this.waitingMax = Math.max(this.waitingMax, this.waiting - (this.hasFreeThread ? 1 : 0));
  }

  takeFirst(nowMs: number): Visit {
    this.#count(nowMs);
    const visit = this.#waiting[this.#head++]!;
    if (this.#head > 1_024 && this.#head * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    return visit;
  }

  threadTaken(nowMs: number, change: 1 | -1): void {
    this.#count(nowMs);
    this.#running += change;
  }

  #count(nowMs: number): void {
    const elapsed = nowMs - this.#atMs;
    this.#runningMs += elapsed * this.#running;
    this.#waitingMs += elapsed * this.waiting;
    this.#atMs = nowMs;
  }
}

export class Network {
  readonly pools: CorePool[] = [];
  readonly #timers = new MinHeap<() => void>();
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  pool(name: string, cores: number): CorePool {
    const pool = new CorePool(name, cores);
    this.pools.push(pool);
    return pool;
  }

  station(name: string, threads: number, pool: CorePool): Station {
    const station = new Station(name, threads, pool);
    pool.stations.push(station);
    return station;
  }

  /** Runs something later, without any processor. */
  after(ms: number, run: () => void): void {
    this.#timers.add(this.#nowMs + ms, run);
  }

  /** Has a thread of the station do something, once one is free. */
  work(station: Station, cpuMs: number, done: () => void): void {
    station.enqueue(this.#nowMs, { cpuMs, done });
    this.#dispatch(station);
  }

  /** Has a station do something when it has nothing else to do. */
  background(station: Station, cpuMs: number): void {
    station.backgroundMs += cpuMs;
    this.#dispatch(station);
  }

  /** Goes on until nothing happens any more, or `isOver`. */
  run(isOver: () => boolean = () => false): void {
    while (!isOver()) {
      let pool: CorePool | undefined;
      let atMs = this.#timers.firstKey;
      for (const each of this.pools)
        if (each.nextAtMs < atMs) {
          pool = each;
          atMs = each.nextAtMs;
        }
      if (atMs === Infinity) return;
      this.#nowMs = atMs;
      if (pool === undefined) this.#timers.take()!();
      else this.#finish(pool);
    }
  }

  #finish(pool: CorePool): void {
    const { station, done } = pool.finish(this.#nowMs);
    station.threadTaken(this.#nowMs, -1);
    done();
    this.#dispatch(station);
    for (const each of pool.stations) if (each.backgroundMs > 0) this.#dispatch(each);
  }

  #dispatch(station: Station): void {
    while (station.waiting > 0 && station.hasFreeThread) {
      const { cpuMs, done } = station.takeFirst(this.#nowMs);
      this.#start(station, cpuMs, done);
    }
    while (station.backgroundMs > 0 && station.hasFreeThread && station.pool.hasFreeCore) {
      const cpuMs = Math.min(SLICE_MS, station.backgroundMs);
      station.backgroundMs -= cpuMs;
      this.#start(station, cpuMs, () => undefined);
    }
  }

  #start(station: Station, cpuMs: number, done: () => void): void {
    station.threadTaken(this.#nowMs, 1);
    station.pool.start(this.#nowMs, cpuMs, { station, done });
  }
}
