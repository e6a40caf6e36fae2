import { setTimeout as pause } from 'node:timers/promises';
import type { EngramClient } from '@engram/client';
import { readWords, WORD_DIMENSION } from '@engram/demo';
import { ClusterError, type Observation } from '@engram/model';
import colors from 'picocolors';
import { checkedLine } from './format.ts';
import { Importer } from './import/importer.ts';
import { Progress, whole } from './import/progress.ts';
import type { GoodRow } from './import/row.ts';
import { clientFor, isDenied, printNote, sentence } from './output.ts';
import { shown } from './printable.ts';

const SPACE = 'words';
const WORDS = 20_000;
const BATCH = 500;
const CONCURRENCY = 4;
/** The demo comes right after the start, when a partition may still be taken over. */
const RETRIES = 10;
/** How long the demo waits for the words to be searchable. */
const SEARCHABLE_WAIT_MS = 30_000;

/** How long the demo waits for the space to be served before it counts the words. */
const SERVED_WAIT_MS = 60_000;
const POLL_MS = 200;

/** All of them are among the first 4,000 words; the words of the data are in lower case. */
const QUERIES = ['coffee', 'guitar', 'tuesday'];
const SHOWN = 5;

interface DemoOptions {
  readonly json: boolean;
  readonly words?: number;
  readonly signal?: AbortSignal;
}

/** What the demo did; part of what `up --json` prints. */
export interface DemoResult {
  readonly space: string;
  readonly words: number;
  /** False when the words were there already. */
  readonly loaded: boolean;
  readonly recalls: readonly Nearest[];
}

interface Nearest {
  readonly word: string;
  readonly nearest: readonly { readonly word: string; readonly score: number }[];
  readonly tookMs: number;
}

/**
 * Loads English words into the space `words`, unless they are there, and shows what is near to
 * some of them. A failure is told in one sentence and never thrown: the cluster is what matters.
 * @returns undefined when it did not work; with `json`, nothing is printed on standard output
 */
export async function runDemo(url: string, options: DemoOptions): Promise<DemoResult | undefined> {
  const { json, words = WORDS, signal = new AbortController().signal } = options;
  try {
    const client = clientFor({ url }, RETRIES);
    const startedAt = performance.now();
    const found = await countOf(client, signal);
    const isThere = found >= words;
    const position = isThere ? undefined : await load(client, words, signal);
    const tookMs = performance.now() - startedAt;
    if (!json && isThere)
      console.log(checkedLine('demo', `${whole(found)} words are in the space ${SPACE} already`));
    else if (!json)
      console.log(
        checkedLine('demo', `${whole(words)} words are searchable in the space ${SPACE}`, tookMs),
      );
    const recalls: Nearest[] = [];
    for (const word of QUERIES) {
      const nearest = await nearestTo(client, word, position, signal);
      if (nearest === undefined) continue;
      recalls.push(nearest);
      if (!json) console.log(textOf(shown(nearest)));
    }
    return { space: SPACE, words, loaded: !isThere, recalls };
  } catch (error) {
    if (signal.aborted) return undefined;
    if (isDenied(error))
      printNote('The demo is left out: no key was given that may make its space.');
    else printNote(`The demo did not work: ${sentence(error)}`);
    return undefined;
  }
}

/** A space whose shard still reads the log has not all of its words yet. */
async function countOf(client: EngramClient, signal: AbortSignal): Promise<number> {
  await client.createSpace(SPACE, { dimension: WORD_DIMENSION, metric: 'cosine' }, { signal });
  const end = performance.now() + SERVED_WAIT_MS;
  for (;;) {
    const { count, degraded } = await client.space(SPACE, { signal });
    if (!degraded) return count;
    if (performance.now() > end)
      throw new ClusterError('PARTITION_UNAVAILABLE', `no shard serves the space ${SPACE} yet`);
    await pause(POLL_MS, undefined, { signal });
  }
}

/**
 * Writes the words and waits until they are searchable. The last one is held back: when it is
 * searchable, so is all that was logged before it.
 * @returns the position of the last write
 */
async function load(
  client: EngramClient,
  words: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const progress = new Progress({ total: words, stream: process.stderr });
  let last: Observation | undefined;
  async function* allButLast(): AsyncGenerator<GoodRow, void> {
    let rank = 0;
    for await (const { word, embedding } of readWords({ limit: words })) {
      if (last !== undefined) yield { line: rank, text: last.id, observation: last };
      last = { id: word, embedding, metadata: { rank: ++rank, length: word.length } };
    }
  }
  try {
    const { failure } = await new Importer(client, SPACE, {
      batch: BATCH,
      concurrency: CONCURRENCY,
      signal,
      interruptGraceMs: 0,
      onProgress: ({ accepted }) => progress.report(accepted, accepted),
      onRejected: ({ code, detail }) => Promise.reject(new ClusterError(code, detail)),
    }).run(allButLast());
    if (failure !== undefined)
      throw failure instanceof Error ? failure : ClusterError.from(failure);
    signal.throwIfAborted();
    if (last === undefined) return undefined;
    const final = { ack: 'searchable', ackTimeoutMs: SEARCHABLE_WAIT_MS, signal } as const;
    return (await client.put(SPACE, [last], final)).position;
  } finally {
    progress.stop();
  }
}

/** Undefined when the word was not loaded. */
async function nearestTo(
  client: EngramClient,
  word: string,
  minPosition: string | undefined,
  signal: AbortSignal,
): Promise<Nearest | undefined> {
  try {
    const { embedding } = await client.get(SPACE, word, { signal });
    const query = {
      embedding,
      k: SHOWN + 1,
      ...(minPosition === undefined ? {} : { minPosition, waitMs: SEARCHABLE_WAIT_MS }),
    };
    const { results, tookMs } = await client.recall(SPACE, query, { signal });
    const others = results.filter(({ id }) => id !== word).slice(0, SHOWN);
    return { word, nearest: others.map(({ id, score }) => ({ word: id, score })), tookMs };
  } catch (error) {
    if (error instanceof ClusterError && error.code === 'OBSERVATION_NOT_FOUND') return undefined;
    throw error;
  }
}

function textOf({ word, nearest, tookMs }: Nearest): string {
  const near = nearest.map((each) => `${each.word} ${colors.dim(each.score.toFixed(2))}`);
  return `  nearest to ${colors.bold(word.padEnd(8))} ${near.join('  ')}   ${colors.dim(`${tookMs.toFixed(1)} ms`)}`;
}
