// Load as tenants make it: some write much, some little; they overwrite, delete and read what they
// wrote. Everything it does follows from its seed and the answers.

import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { LANES } from '../history/event.ts';
import { between, pickOne, seededRandom, type Random } from '../random.ts';
import type { Acknowledged, LoadSpace, RecordingClient } from './recording-client.ts';

export interface WorkloadOptions {
  readonly client: RecordingClient;
  readonly spaces: readonly LoadSpace[];
  /** Operations a second, all together; less where the cluster is slower. */
  readonly rate: number;
  readonly seed: number;
}

const WIDTH = 24;
/** Operations in a hundred. */
const MIX = [
  ['put', 40],
  ['publish', 10],
  ['delete', 8],
  ['put-bad', 2],
  ['poison', 1],
  ['repeat', 3],
  ['read-own', 24],
  ['all', 4],
  ['as-of', 5],
  ['nearest', 3],
] as const;
type Operation = (typeof MIX)[number][0];
const DECK = MIX.flatMap(([operation, share]) => Array<Operation>(share).fill(operation));
const RARE = 0.005;
/** A snapshot is kept for a minute; after this long a new one is taken. */
const SNAPSHOT_MS = 20_000;

export class Workload {
  readonly #options: WorkloadOptions;
  readonly #random: Random;
  #stop = new AbortController();
  readonly #latest = new Map<string, Acknowledged>();
  readonly #snapshots = new Map<string, { readonly asOf: string; readonly takenAt: number }>();
  #running: Promise<unknown> = Promise.resolve();
  #done = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
  }

  get done(): number {
    return this.#done;
  }

  /** Begins, or goes on after close(). */
  start(): void {
    this.#stop = new AbortController();
    setMaxListeners(WIDTH + 1, this.#stop.signal);
    const gapMs = (1_000 * WIDTH) / this.#options.rate;
    this.#running = Promise.all(Array.from({ length: WIDTH }, (_, i) => this.#work(i, gapMs)));
  }

  /** Lets what is under way end. @throws what broke the load itself */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async poison(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.#poison(pickOne(this.#options.spaces, this.#random));
  }

  async repeat(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.#do('repeat');
  }

  async #work(nth: number, gapMs: number): Promise<void> {
    const { signal } = this.#stop;
    let next = performance.now() + (gapMs * nth) / WIDTH;
    while (!signal.aborted) {
      const waitMs = next - performance.now();
      if (waitMs > 0) await pause(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      // What an outage kept from being asked is not made up for.
      next = Math.max(next, performance.now() - gapMs) + gapMs;
      await this.#do(pickOne(DECK, this.#random));
      this.#done++;
    }
  }

  async #do(operation: Operation): Promise<void> {
    const { client, spaces } = this.#options;
    const random = this.#random;
    // The last one is left alone for seconds at a time, so that it leaves memory and comes back.
    const isRare = spaces.length === 1 || random() < RARE;
    const space = isRare ? spaces.at(-1)! : pickOne(spaces.slice(0, -1), random);
    const lane = pickOne(LANES, random);
    const remember = (write: Acknowledged | undefined): void => {
      if (write !== undefined) this.#latest.set(space.name, write);
    };
    switch (operation) {
      case 'put':
      case 'put-bad': {
        const ids = new Set(Array.from({ length: between(1, 5, random) }, () => this.#id(space)));
        const bad = operation === 'put-bad' ? between(0, ids.size, random) : -1;
        const items = [...ids].map((id, i) => ({ id, isBad: i === bad }));
        const ack = random() < 0.2 ? 'searchable' : 'logged';
        return remember(await client.put(space, items, lane, ack));
      }
      case 'publish':
        return remember(await client.publish(space, this.#id(space), lane));
      case 'repeat': {
        const again = random() < 0.5 ? 'same-id' : 'other-id';
        return remember(await client.publish(space, this.#id(space), lane, again));
      }
      case 'delete':
        return remember(await client.delete(space, this.#id(space)));
      case 'poison':
        return this.#poison(space);
      case 'read-own': {
        const own = this.#latest.get(space.name);
        if (own === undefined) return;
        const { id, position: minPosition } = own;
        const what = random() < 0.5 ? 'get' : 'by-id';
        await client.read(space, { what, id }, { minPosition });
        return;
      }
      case 'all':
      case 'nearest':
        await client.read(space, { what: operation });
        return;
      case 'as-of':
        return this.#readSnapshot(space);
    }
  }

  async #readSnapshot(space: LoadSpace): Promise<void> {
    const { client } = this.#options;
    const kept = this.#snapshots.get(space.name);
    if (kept !== undefined && performance.now() - kept.takenAt < SNAPSHOT_MS) {
      await client.read(space, { what: 'all' }, { asOf: kept.asOf });
      return;
    }
    const asOf = await client.read(space, { what: 'nearest' });
    if (asOf !== undefined) this.#snapshots.set(space.name, { asOf, takenAt: performance.now() });
  }

  async #poison({ name, dimension }: LoadSpace): Promise<void> {
    const { client } = this.#options;
    const wrong = JSON.stringify({ id: 'poison', embedding: Array(dimension + 1).fill(0.5) });
    const [subject, payload] = pickOne<readonly [string, string | Uint8Array]>(
      [
        [`observe.normal.${name}`, '{'],
        [`observe.high.${name}`, wrong],
        [`observe.low.${name}`, Uint8Array.of(0xff, 0xfe, 0)],
        [`observe.normal.${name}`, '{"id":"poison","embedding":"AAAA"}'],
        ['observe.normal.nobody', '{"id":"poison","embedding":[1]}'],
      ],
      this.#random,
    );
    await client.poison(subject, payload);
  }

  #id({ ids }: LoadSpace): string {
    return `id-${between(0, ids, this.#random)}`;
  }
}

/** Spaces from small to large, of different dimensions and metrics. */
export function loadSpaces(count: number): LoadSpace[] {
  const sizes = [30, 120, 400, 60, 900, 250];
  // Wide rows fill segments, which are then sealed and merged.
  const dimensions = [4, 16, 8, 256, 12];
  const metrics = ['cosine', 'l2', 'ip'] as const;
  return Array.from({ length: count }, (_, i) => ({
    name: `load-${i}`,
    ids: sizes[i % sizes.length]!,
    dimension: dimensions[i % dimensions.length]!,
    metric: metrics[i % metrics.length]!,
  }));
}
