import { ask } from '../support/load/http.ts';

/** What was measured in one interval; undefined where nobody answered. */
export interface Sample {
  readonly atMs: number;
  /** Private memory of all shards that answer. */
  readonly memoryBytes: number | undefined;
  /** Entries of the log that their owners have not applied. */
  readonly lag: number | undefined;
  readonly writeP99Ms: number | undefined;
  readonly readP99Ms: number | undefined;
  readonly answered: number;
  readonly unanswered: number;
}

interface ClusterAnswer {
  readonly members: readonly {
    readonly role: string;
    readonly lag?: number;
    readonly privateBytes?: number;
  }[];
}

const ASK_TIMEOUT_MS = 2_000;
/** Of a whole run. */
const SAMPLES = 240;

export class Measures {
  readonly samples: Sample[] = [];
  readonly #begun = performance.now();
  #tooks: Record<'write' | 'read', number[]> = { write: [], read: [] };
  #unanswered = 0;
  #timer: NodeJS.Timeout | undefined;
  #sampling: Promise<void> = Promise.resolve();

  noteAnswer(operation: 'write' | 'read', tookMs: number, isAnswered: boolean): void {
    if (isAnswered) this.#tooks[operation].push(tookMs);
    else this.#unanswered++;
  }

  /** @param urls of the gateways; the first one that answers is believed */
  start(urls: readonly string[], runMs: number): void {
    this.#timer = setInterval(
      () => {
        this.#sampling = this.#sampling.then(() => this.#sample(urls));
      },
      Math.max(1_000, runMs / SAMPLES),
    );
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sampling;
  }

  async #sample(urls: readonly string[]): Promise<void> {
    const tooks = this.#tooks;
    const unanswered = this.#unanswered;
    this.#tooks = { write: [], read: [] };
    this.#unanswered = 0;
    const atMs = Math.round(performance.now() - this.#begun);
    const shards = await shardsOf(urls);
    const sumOf = (numbers: readonly (number | undefined)[] | undefined) => {
      const known = (numbers ?? []).filter((number) => number !== undefined);
      return known.length === 0 ? undefined : known.reduce((sum, each) => sum + each, 0);
    };
    this.samples.push({
      atMs,
      memoryBytes: sumOf(shards?.map(({ privateBytes }) => privateBytes)),
      lag: sumOf(shards?.map(({ lag }) => lag)),
      writeP99Ms: p99(tooks.write),
      readP99Ms: p99(tooks.read),
      answered: tooks.write.length + tooks.read.length,
      unanswered,
    });
  }
}

async function shardsOf(urls: readonly string[]) {
  for (const url of urls) {
    const question = { method: 'GET', path: '/v1/cluster', timeoutMs: ASK_TIMEOUT_MS } as const;
    const answer = await ask(url, question);
    if (answer?.status !== 200) continue;
    const { members } = answer.body as unknown as ClusterAnswer;
    return members.filter(({ role }) => role === 'shard');
  }
  return undefined;
}

function p99(numbers: readonly number[]): number | undefined {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))];
}
