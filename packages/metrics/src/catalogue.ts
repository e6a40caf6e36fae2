import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

// Names: the prefix engram_, base units, counters end in _total. Labels are bounded: lanes, codes,
// routes, partitions, workers and members, never an id; spaces by `TopSpaces` only.

/** Of the workspace. */
const VERSION = '0.1.0';

export type Labels = Readonly<Record<string, string>>;

/** A registry of its own for each process, or for each of several in one test. */
export class MetricsRegistry {
  readonly #registry = new Registry();

  constructor(role: string, member: string) {
    this.#registry.setDefaultLabels({ role, member });
    this.gauge('build_info', 'What runs; always 1', ['version', 'node'], (set) =>
      set(1, { version: VERSION, node: process.version }),
    );
  }

  /** CPU, memory, event loop and garbage collection of the process. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.#registry, prefix: 'engram_' });
  }

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    return new Counter({ name: `engram_${name}`, help, labelNames, registers: [this.#registry] });
  }

  /** A gauge that is read when it is scraped. */
  gauge(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: (set: (value: number, labels?: Labels) => void) => void | Promise<void>,
  ): void {
    new Gauge({
      name: `engram_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      async collect() {
        this.reset();
        await read((value, labels = {}) => this.set(labels, value));
      },
    });
  }

  /** What is counted elsewhere since its start, read when it is scraped. */
  total(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: (set: (value: number, labels?: Labels) => void) => void,
  ): void {
    new Counter({
      name: `engram_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset();
        read((value, labels = {}) => this.inc(labels, value));
      },
    });
  }

  histogram(
    name: string,
    help: string,
    labelNames: readonly string[],
    buckets: readonly number[],
  ): Histogram {
    return new Histogram({
      name: `engram_${name}`,
      help,
      labelNames,
      buckets: [...buckets],
      registers: [this.#registry],
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The exposition text. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }
}

/** How many of a child took at most each bound, and how many there were, which is the last count. */
export async function countsOf(
  histogram: Histogram,
  labels: Labels,
  bounds: readonly number[],
): Promise<number[]> {
  const { values } = await histogram.get();
  const own = values.filter(({ labels: of }) =>
    Object.entries(labels).every(([name, value]) => (of as Labels)[name] === value),
  );
  const count = (le: number | string) =>
    own.find(({ labels: of }) => (of as Readonly<Record<string, unknown>>).le === le)?.value ?? 0;
  return [...bounds.map(count), count('+Inf')];
}

/** Seconds from a tenth of a millisecond to ten: one scale for requests, waits and freshness. */
export const LATENCY_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;
