// Clients that send slowly, or hold what they do not use, and a port of its own for operators.

import { connect, type Socket } from 'node:net';
import { mintApiKey, parseGrants } from '@engram/access';
import { freePort } from '@engram/local-cluster';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/until.ts';

const CONNECTIONS_MAX = 60;
const operator = mintApiKey('operator', parseGrants({ '*': ['admin'] }));

let running: TestCluster;
let url: string;
let adminUrl: string;

beforeAll(async () => {
  const adminPort = await freePort();
  adminUrl = `http://127.0.0.1:${adminPort}`;
  running = await startTestCluster({
    shards: 1,
    apiKey: operator.key,
    adminPort,
    env: {
      ENGRAM_API_KEYS: JSON.stringify([operator.record]),
      ENGRAM_CONNECTIONS_MAX: String(CONNECTIONS_MAX),
      ENGRAM_HEADERS_TIMEOUT_MS: '300',
      ENGRAM_REQUEST_TIMEOUT_MS: '3000',
    },
  });
  ({ url } = running.cluster);
  await running.client.createSpace('notes', { dimension: 2 });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
});

interface Open {
  readonly socket: Socket;
  text: string;
  isOver: boolean;
}

function open(to = url): Open {
  const { hostname, port } = new URL(to);
  const socket = connect(Number(port), hostname);
  const one: Open = { socket, text: '', isOver: false };
  socket.on('data', (chunk) => (one.text += chunk.toString()));
  socket.on('error', () => undefined); // a reset is an end too
  socket.on('close', () => (one.isOver = true));
  return one;
}

/** Sends a byte now and then, for ever. */
function trickle({ socket }: Open): void {
  const timer = setInterval(() => socket.write('x'), 50);
  socket.on('close', () => clearInterval(timer));
}

const AUTHORIZED = `Host: x\r\nAuthorization: Bearer ${operator.key}\r\n`;
const POST = `POST /v1/spaces/notes/observations HTTP/1.1\r\n${AUTHORIZED}Content-Type: application/json\r\n`;

test('clients that send too slowly, or nothing, are cut, and others are served meanwhile', async () => {
  const begun = [
    '',
    'GET /livez HTTP/1.1\r\nHost: x\r\nX: ',
    `${POST}Content-Length: 100000\r\n\r\n`,
    `${POST}Transfer-Encoding: chunked\r\n\r\nfffff\r\n`,
    `${POST}Content-Length: 9\r\nExpect: 100-continue\r\n\r\n`,
  ];
  const slow = begun.flatMap((text) =>
    Array.from({ length: 8 }, () => {
      const one = open();
      one.socket.write(text);
      if (text !== '' && !text.includes('Expect')) trickle(one);
      return one;
    }),
  );
  let served = 0;
  /** Headers have less time than bodies. */
  let isSooner = false;
  await until(
    'all of them are cut',
    async () => {
      const answer = await running.client.recall('notes', { embedding: [1, 0], k: 1 });
      expect(answer.degraded).toBe(false);
      served++;
      const [heads, bodies] = [slow.slice(0, 16), slow.slice(16)];
      isSooner ||= heads.every(({ isOver }) => isOver) && !bodies.some(({ isOver }) => isOver);
      return slow.every(({ isOver }) => isOver);
    },
    20_000,
  );
  expect(served).toBeGreaterThan(1);
  expect(isSooner).toBe(true);
  // Bodies of unknown length together may be more than a gateway takes at one time.
  for (const { text } of slow) expect(text).toMatch(/^(|HTTP\/1\.1 (408|429|100) [^]*)$/);
  expect(slow.filter(({ text }) => text.includes('did not arrive in time'))).not.toEqual([]);
});

test('connections beyond the limit are closed at once, and there is room when others have gone', async () => {
  const many = Array.from({ length: CONNECTIONS_MAX + 40 }, () => open());
  for (const { socket } of many) socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n');
  await until('all of them are over', () => many.every(({ isOver }) => isOver), 20_000);
  const taken = many.filter(({ text }) => text !== '').length;
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThanOrEqual(CONNECTIONS_MAX);
  await until('the next is served', async () => (await fetch(`${url}/livez`)).ok);
});

/** As they stand in a request line, where a library would make something else of them. */
const NAMES = [
  ...['..', '../../etc/passwd', '%2e%2e%2f%2e%2e%2fetc', '..%c0%af', 'a%2Fb', 'a%5Cb', 'C:', 'a.b'],
  ...[
    '*',
    '%3E',
    'a.%3E',
    'a%20b',
    'a%09b',
    'a%0D%0APUB%20evil%202%0D%0Ahi',
    '%00',
    'a%00b',
    '$SYS',
  ],
  ...['$JS.API.STREAM.DELETE.OBS-0', '_INBOX.x', '@x', '%7B%7Bpartition(1)%7D%7D', '%25s', '{tag}'],
  ...[
    '${jndi:x}',
    '%0D%0AFLUSHALL%0D%0A',
    '%F0%9F%98%80',
    '%D0%B0',
    'a'.repeat(65),
    'a'.repeat(4_096),
  ],
];

test('no name leads out of its subject, key, path or log line', async () => {
  const shown = async () => {
    const names: string[] = [];
    for await (const { space } of running.client.spaces()) names.push(space);
    return names;
  };
  const before = await shown();
  const body = '{"dimension":2}';
  const type = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n`;
  for (const name of NAMES) {
    const one = open();
    one.socket.write(`PUT /v1/spaces/${name} HTTP/1.1\r\n${AUTHORIZED}${type}\r\n${body}`);
    await until(`an answer about ${name}`, () => one.isOver);
    expect([name, one.text.split(' ', 2)[1]]).toEqual([name, expect.stringMatching(/^40[04]$/)]);
  }
  expect(await shown()).toEqual(before);
});

describe('a port for operators', () => {
  const status = async (path: string, headers: Record<string, string> = {}) =>
    (await fetch(path, { headers })).status;
  const asOperator = { authorization: `Bearer ${operator.key}` };

  test('has what they ask for, which the port for users has not', async () => {
    for (const path of ['/v1/cluster', '/v1/ring', '/v1/dead-letters', '/v1/spaces/notes/verify']) {
      expect([path, await status(url + path, asOperator)]).toEqual([path, 404]);
      expect([path, await status(adminUrl + path)]).toEqual([path, 401]);
      expect([path, await status(adminUrl + path, asOperator)]).toEqual([path, 200]);
    }
    expect(await status(`${url}/metrics`, asOperator)).toBe(404);
    expect(await status(`${adminUrl}/metrics`)).toBe(200);
    for (const each of [url, adminUrl]) {
      expect(await status(`${each}/livez`)).toBe(200);
      expect(await status(`${each}/readyz`)).toBe(200);
      expect(await status(`${each}/v1/spaces/notes`, asOperator)).toBe(200);
    }
  });

  test('takes no observations and no recalls', async () => {
    for (const path of ['observations', 'recall']) {
      const response = await fetch(`${adminUrl}/v1/spaces/notes/${path}`, {
        method: 'POST',
        headers: { ...asOperator, 'content-type': 'application/json' },
        body: '{}',
      });
      expect([path, response.status]).toEqual([path, 404]);
    }
  });
});
