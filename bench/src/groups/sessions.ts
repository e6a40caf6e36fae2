// What ten thousand WebSocket sessions that say nothing cost a gateway, and one that writes beside them.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { onFreshCluster, type FreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, percentile } from '../samples.ts';

const SESSIONS = 10_000;
const QUICK_SESSIONS = 1_000;
/** Opened at one time. */
const WAVE = 100;
/** Longer than the time between two pings of the gateway. */
const REST_MS = 35_000;
const QUICK_REST_MS = 2_000;
const PUTS = 500;
const DIMENSION = 100;
const SPACE = 'sessions';

export const sessions: Group = {
  name: 'sessions',
  title: 'WebSocket sessions that are idle, and one that is not',
  run,
};

interface Measured {
  readonly count: number;
  readonly openedMs: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Sessions that the gateway counts after a rest. */
  readonly counted: number;
  readonly putsBefore: readonly number[];
  readonly putsAfter: readonly number[];
}

async function run(context: GroupContext): Promise<GroupReport> {
  const count = context.isQuick ? QUICK_SESSIONS : SESSIONS;
  const measured = await onFreshCluster(context, (fresh) => measure(fresh, count, context), 1);
  const { bytesBefore, bytesAfter, counted, openedMs, putsBefore, putsAfter } = measured;
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const kib = ((bytesAfter - bytesBefore) / count / 1_024).toFixed(1);
  const puts = (samples: readonly number[]) =>
    `${formatMs(percentile(samples, 50))} / ${formatMs(percentile(samples, 99))}`;
  return {
    tables: [
      {
        title: 'one gateway',
        head: ['sessions', 'private memory', 'acknowledged batch, p50 / p99'],
        rows: [
          ['none', mib(bytesBefore), puts(putsBefore)],
          [`${counted} idle`, mib(bytesAfter), puts(putsAfter)],
        ],
      },
    ],
    notes: [
      `${kib} KiB for each idle session; opened in ${(openedMs / 1_000).toFixed(1)} s, their clients in one process beside it`,
      'batches of ten observations, one at a time over one session (ack logged)',
    ],
    figures: [
      {
        name: 'private memory of an idle session',
        unit: 'bytes',
        better: 'lower',
        samples: [(bytesAfter - bytesBefore) / count],
      },
    ],
    data: { ...measured },
  };
}

async function measure(
  { cluster, client, url }: FreshCluster,
  count: number,
  { isQuick, progress }: GroupContext,
): Promise<Measured> {
  const pid = cluster.gateways[0]!.pid;
  await client.createSpace(SPACE, { dimension: DIMENSION });
  await using writer = client.session({ space: SPACE });
  const puts = async () => {
    const samples: number[] = [];
    for (let n = 0; n < PUTS; n++) {
      const observations = Array.from({ length: 10 }, (_, i) => ({
        id: `o${n}-${i}`,
        embedding: Float32Array.from({ length: DIMENSION }, () => Math.random() + 0.01),
      }));
      const startedAt = performance.now();
      await writer.put(observations);
      samples.push(performance.now() - startedAt);
    }
    return samples;
  };
  await puts();
  const putsBefore = await puts();
  const bytesBefore = await privateBytes(pid);
  progress(`opening ${count} sessions`);
  const startedAt = performance.now();
  const sockets: WebSocket[] = [];
  try {
    while (sockets.length < count) {
      const wave = Array.from({ length: Math.min(WAVE, count - sockets.length) }, () => open(url));
      sockets.push(...(await Promise.all(wave)));
    }
    const openedMs = performance.now() - startedAt;
    await pause(isQuick ? QUICK_REST_MS : REST_MS);
    const bytesAfter = await privateBytes(pid);
    const putsAfter = await puts();
    const counted = (await countSessions(url)) - 1; // the writer
    return { count, openedMs, bytesBefore, bytesAfter, counted, putsBefore, putsAfter };
  } finally {
    for (const socket of sockets) socket.terminate();
  }
}

async function open(url: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/stream`, {
    perMessageDeflate: false,
  });
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'open', space: SPACE }));
  await once(socket, 'message');
  return socket;
}

/** What the kernel cannot take back. */
async function privateBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024;
}

async function countSessions(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^engram_sessions\{[^}]*state="flowing"[^}]*\} (\d+)$/m.exec(text)?.[1]);
}
