// Entry of the thread behind `writeLoad`. Plain `node:http`: the load must cost less than the cluster.

import { Agent, request, type IncomingMessage } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { seededRandom } from '@engram/capacity';
import { CONTENT_TYPES } from '@engram/codec';
import type { WriteLoadOptions, WriteTally } from './write-load.ts';

const TIMEOUT_MS = 30_000;
const CONNECTIONS_MAX = 200;
/** Of arrivals by chance. */
const SEED = 11;

if (parentPort === null) throw new Error('this file is the entry of a thread');
const port = parentPort;
const options = workerData as WriteLoadOptions;
const { url, spaces, bodies, lane, ack, pace, durationMs, observationsPerBody } = options;
const { spacesAtOnce = spaces.length, batchesMax = Infinity } = options;
const agent = new Agent({
  keepAlive: true,
  maxSockets: Infinity,
  maxFreeSockets: CONNECTIONS_MAX,
});

interface Answer {
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  /** As the body says it. */
  readonly refusedForMs?: number | undefined;
  readonly cause: string;
}

let sent = 0;
/** Of a closed loop: the place of the next batch. */
let next = 0;
let accepted = 0;
let withoutRetryAfter = 0;
let notSent = 0;
const refused: Record<string, number> = {};
const causes: Record<string, number> = {};
const latenciesMs: number[] = [];

// Overload comes from clients that are there already: how fast new ones are let in is another matter.
if (pace.kind === 'open') await openConnections(Math.min(pace.outstandingMax, CONNECTIONS_MAX));

const startedAt = performance.now();
let endAt = startedAt + durationMs;
port.once('message', () => {
  endAt = performance.now();
});
if (pace.kind === 'open') await openLoop(pace.perSecond, pace.outstandingMax, pace.arrivals);
else await Promise.all(Array.from({ length: pace.senders }, () => sender(pace.obeys)));
agent.destroy();
port.postMessage({
  sent,
  accepted,
  acceptedObservations: accepted * observationsPerBody,
  refused,
  causes,
  refusedWithoutRetryAfter: withoutRetryAfter,
  notSent,
  elapsedMs: performance.now() - startedAt,
  latenciesMs,
} satisfies WriteTally);
port.close();

/** So many requests at one time need as many connections, which are kept for what comes. */
async function openConnections(count: number): Promise<void> {
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const asked = request(new URL('/livez', url), { agent }, (response) => {
        response.resume();
        response.on('close', resolve);
      });
      asked.on('error', () => resolve());
      asked.end();
    });
  await Promise.all(Array.from({ length: count }, one));
}

async function openLoop(
  perSecond: number,
  outstandingMax: number,
  arrivals: 'poisson' | undefined,
): Promise<void> {
  const outstanding = new Set<Promise<unknown>>();
  const random = seededRandom(SEED);
  for (let due = 0, dueIn = 0; due < batchesMax; due++) {
    const dueAt = startedAt + (dueIn * 1_000) / perSecond;
    dueIn += arrivals === 'poisson' ? -Math.log(1 - random()) : 1;
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await pause(waitMs);
    if (dueAt >= endAt) break;
    if (outstanding.size >= outstandingMax) {
      notSent++;
      continue;
    }
    const one = measured(due, dueAt).finally(() => outstanding.delete(one));
    outstanding.add(one);
  }
  await Promise.all(outstanding);
}

async function sender(obeys: 'seconds' | 'milliseconds'): Promise<void> {
  while (performance.now() < endAt && next < batchesMax) {
    const index = next++;
    for (;;) {
      const { retryAfterMs, refusedForMs } = await measured(index, performance.now());
      const waitMs = obeys === 'seconds' ? retryAfterMs : (refusedForMs ?? retryAfterMs);
      if (waitMs === undefined || performance.now() >= endAt) break;
      await pause(waitMs);
    }
  }
}

async function measured(index: number, dueAt: number): Promise<Answer> {
  sent++;
  const answer = await send(index);
  if (answer.status >= 200 && answer.status < 300) {
    accepted++;
    latenciesMs.push(performance.now() - dueAt);
    return answer;
  }
  refused[answer.status] = (refused[answer.status] ?? 0) + 1;
  causes[answer.cause] = (causes[answer.cause] ?? 0) + 1;
  if (answer.status !== 0 && answer.retryAfterMs === undefined) withoutRetryAfter++;
  return answer;
}

function send(index: number): Promise<Answer> {
  // Groups of spaces one after the other; within a group the first body to each, then the second one. The last
  // group may be smaller.
  const inRound = index % (spaces.length * bodies.length);
  const first = Math.floor(inRound / (spacesAtOnce * bodies.length)) * spacesAtOnce;
  const size = Math.min(spacesAtOnce, spaces.length - first);
  const within = inRound - first * bodies.length;
  const space = spaces[first + (within % size)]!;
  const body = bodies[Math.floor(within / size)]!;
  const path = `/v1/spaces/${space}/observations?lane=${lane}&ack=${ack}`;
  return new Promise((resolve) => {
    const failed = (error: Error): void =>
      resolve({ status: 0, retryAfterMs: undefined, cause: error.message });
    const asked = request(
      new URL(path, url),
      {
        method: 'POST',
        agent,
        timeout: TIMEOUT_MS,
        headers: { 'content-type': CONTENT_TYPES.frame, 'content-length': body.length },
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', failed);
        response.on('end', () => resolve(answerOf(response, Buffer.concat(parts))));
      },
    );
    asked.on('timeout', () => asked.destroy(new Error('no answer in time')));
    asked.on('error', failed);
    asked.end(body);
  });
}

function answerOf({ statusCode = 0, headers }: IncomingMessage, body: Buffer): Answer {
  const retryAfter = headers['retry-after'];
  const retryAfterMs = typeof retryAfter === 'string' ? Number(retryAfter) * 1_000 : undefined;
  if (statusCode < 400) return { status: statusCode, retryAfterMs, cause: '' };
  const problem = JSON.parse(body.toString()) as {
    readonly code?: string;
    readonly details?: { readonly cause?: string; readonly retryAfterMs?: number };
  };
  return {
    status: statusCode,
    retryAfterMs,
    refusedForMs: problem.details?.retryAfterMs,
    cause: `${problem.code ?? 'none'} ${problem.details?.cause ?? ''}`.trim(),
  };
}
