// A proxy that makes a network bad: node proxy.mjs 4222=nats:4222 6379=redis:6379
//
// Every some seconds, by the seed CHAOS_SEED, it does one thing to one of its ports for some seconds: `cut` closes
// what is connected and lets nobody in, `stall` passes nothing on, in either direction. Each is printed.

import { createServer, connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const QUIET_MS = [5_000, 20_000];
const FAULT_MS = [500, 5_000];

const random = seededRandom(Number(process.env.CHAOS_SEED ?? 1));
const between = ([from, to]) => from + random() * (to - from);
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => stop.abort());

const ways = process.argv.slice(2).map((text) => {
  const [, port, host, target] = /^(\d+)=([^:]+):(\d+)$/.exec(text) ?? [];
  if (port === undefined) {
    console.error(`${text} is not PORT=HOST:PORT`);
    process.exit(2);
  }
  return openWay(Number(port), host, Number(target));
});

while (!stop.signal.aborted) {
  await rest(between(QUIET_MS));
  const way = ways[Math.floor(random() * ways.length)];
  const fault = random() < 0.5 ? 'cut' : 'stall';
  const ms = Math.round(between(FAULT_MS));
  if (stop.signal.aborted || way === undefined) break;
  console.log(`${new Date().toISOString()} ${fault} ${way.name} for ${ms} ms`);
  way[fault](true);
  await rest(ms);
  way[fault](false);
}
for (const way of ways) way.close();

function openWay(port, host, target) {
  const pairs = new Set();
  let isCut = false;
  let isStalled = false;
  const server = createServer((client) => {
    if (isCut) {
      client.destroy();
      return;
    }
    const upstream = connect(target, host);
    const pair = [client, upstream];
    pairs.add(pair);
    for (const [from, to] of [pair, [...pair].reverse()]) {
      from.on('error', () => to.destroy());
      from.on('close', () => {
        pairs.delete(pair);
        to.destroy();
      });
      if (!isStalled) from.pipe(to);
    }
  }).listen(port);
  return {
    name: `${host}:${target}`,
    cut(isOn) {
      isCut = isOn;
      if (isOn) for (const pair of pairs) for (const socket of pair) socket.destroy();
    },
    stall(isOn) {
      isStalled = isOn;
      for (const [client, upstream] of pairs)
        for (const [from, to] of [
          [client, upstream],
          [upstream, client],
        ])
          // A paused socket would be resumed once the other one has room again.
          if (isOn) from.unpipe(to).pause();
          else from.pipe(to);
    },
    close() {
      server.close();
      for (const pair of pairs) for (const socket of pair) socket.destroy();
    },
  };
}

async function rest(ms) {
  await pause(ms, undefined, { signal: stop.signal }).catch(() => undefined);
}

/** Mulberry32: the same seed, the same faults. */
function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
