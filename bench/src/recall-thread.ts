// Entry of the thread behind RecallLoad.

import { setTimeout as pause } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { EngramClient } from '@engram/client';
import { recallOf } from './dataset.ts';
import type { RecallLoadOptions, RecallSample } from './recall-load.ts';

const TIMEOUT_MS = 30_000;
const CONNECTIONS = 32;

if (parentPort === null) throw new Error('this file is the entry of a thread');
const port = parentPort;
const { url, space, queries, nearest, k, perSecond, count } = workerData as RecallLoadOptions;
// A recall that is tried again would hide that it had failed.
const client = new EngramClient({ url, timeoutMs: TIMEOUT_MS, retries: 0 });
const stop = new AbortController();
port.once('message', () => stop.abort());

// Of a client that is there already: how fast new connections are let in is another matter.
const warm = Array.from({ length: CONNECTIONS }, () => fetch(new URL('/livez', url)));
for (const answer of await Promise.all(warm)) await answer.arrayBuffer();
const startedAt = performance.now();
const pending: Promise<RecallSample>[] = [];
for (let sent = 0; sent !== count && !stop.signal.aborted; sent++) {
  const intendedAt = startedAt + (sent * 1_000) / perSecond;
  const waitMs = intendedAt - performance.now();
  if (waitMs > 0)
    // An abort only ends the wait early.
    await pause(waitMs, undefined, { signal: stop.signal }).catch(() => undefined);
  if (!stop.signal.aborted) pending.push(measure(sent % queries.length, intendedAt));
}
port.postMessage(await Promise.all(pending));
port.close();

async function measure(index: number, intendedAt: number): Promise<RecallSample> {
  const recall = await answered(index);
  return {
    intendedAtMs: performance.timeOrigin + intendedAt,
    latencyMs: performance.now() - intendedAt,
    recall,
  };
}

/** Undefined when the cluster did not answer, or only a part of it. */
async function answered(index: number): Promise<number | undefined> {
  try {
    const answer = await client.recall(space, { embedding: queries[index]!, k });
    if (answer.degraded) return undefined;
    return recallOf(
      answer.results.map(({ id }) => id),
      nearest[index]!,
    );
  } catch {
    return undefined; // counted as failed by the reader
  }
}
