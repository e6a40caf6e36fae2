import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import type { Command } from 'commander';
import { describe, expect, onTestFinished, test } from 'vitest';
import { dlqCommand } from '../src/commands/dlq.ts';
import { doctorCommand } from '../src/commands/doctor.ts';
import { explainCommand } from '../src/commands/explain.ts';
import { putCommand } from '../src/commands/put.ts';
import { recallCommand } from '../src/commands/recall.ts';
import { ringCommand } from '../src/commands/ring.ts';
import { spacesCommand } from '../src/commands/spaces.ts';
import { statusCommand } from '../src/commands/status.ts';
import { tailCommand } from '../src/commands/tail.ts';
import { topCommand } from '../src/commands/top.ts';
import { verifyCommand } from '../src/commands/verify.ts';
import { jsonText } from '../src/output.ts';
import { shown } from '../src/printable.ts';
import { runCommand } from './run-command.ts';

/** Clears the screen, in seven bits and in eight, and goes back to the begin of the line. */
const EVIL = 'a\u001b[2J\u009b2J\r\u007f\u0000b';
const ESCAPED = 'a\\u001b[2J\\u009b2J\\u000d\\u007f\\u0000b';
const UNSAFE = /[^\P{Cc}\n\t]/u;

/** Answers everything with one body. */
async function serverOf(body: string, status = 200, type = 'json'): Promise<string> {
  const server = createServer((_, response) => {
    response.writeHead(status, { 'content-type': `application/${type}` });
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const lanes = (level: string) => {
  const lane = { level, cause: EVIL, waiting: EVIL, lagMs: 0, drainRate: 0 };
  return { high: lane, normal: lane, low: lane };
};

const MEMBER = {
  id: EVIL,
  role: 'shard',
  state: EVIL,
  url: EVIL,
  memory: EVIL,
  replication: EVIL,
  pressure: lanes(EVIL),
  answers: false,
};

const CLUSTER = {
  cluster: EVIL,
  epoch: 1,
  partitionCount: EVIL,
  replication: 1,
  members: [MEMBER],
  partitions: [],
  degraded: true,
  reasons: [EVIL],
  limited: [{ scope: EVIL, name: EVIL, cause: EVIL, refused: EVIL, since: EVIL }],
};

const SPACE = { space: EVIL, dimension: 1, metric: EVIL, createdAt: EVIL, [EVIL]: [EVIL] };
const LETTER = { id: EVIL, reason: EVIL, space: EVIL, lane: EVIL, detail: EVIL };
const HIT = { id: EVIL, score: 1, metadata: { [EVIL]: EVIL } };
const SHARDS = { asked: 2, answered: 1, ids: [EVIL] };
const COUNTS = { log: 1, index: 0 };
const TOTALS = { missing: 1, extra: 0, stale: 0 };
const never = new AbortController().signal;

describe('what a gateway says does nothing to the terminal', () => {
  test.each<[string, Command, string[], unknown]>([
    ['status', statusCommand(), [], CLUSTER],
    ['doctor', doctorCommand(), [], CLUSTER],
    ['top', topCommand(never), ['--once', '--interval', '100'], CLUSTER],
    [
      'ring',
      ringCommand(),
      ['show'],
      { ...CLUSTER, moves: [{ from: EVIL, to: EVIL, partition: 0, percent: EVIL, leftMs: 1 }] },
    ],
    [
      'ring plan',
      ringCommand(),
      ['plan', '--add', '1'],
      { ...CLUSTER, partitionCount: 1, members: [{ ...MEMBER, state: 'active' }], moves: [] },
    ],
    [
      'dlq show',
      dlqCommand(),
      ['show', '0-1'],
      { ...LETTER, errorCount: 1, errors: [{ index: 0, code: EVIL }], contentType: EVIL },
    ],
    ['spaces', spacesCommand(), ['list'], { spaces: [SPACE] }],
    ['spaces show', spacesCommand(), ['show', 'notes'], SPACE],
    [
      'recall',
      recallCommand(),
      ['notes', '--embedding', '[1]'],
      { results: [HIT], shards: SHARDS, degraded: true, tookMs: 1 },
    ],
    [
      'put',
      putCommand(),
      ['notes', '--id', 'n', '--embedding', '[1]'],
      { accepted: 1, rejected: 0, position: EVIL, ack: EVIL },
    ],
    [
      'verify',
      verifyCommand(),
      ['notes'],
      {
        ...{ space: EVIL, ok: false, counts: COUNTS, totals: TOTALS, shard: EVIL, reasons: [EVIL] },
        ...{ missing: [{ id: EVIL, expected: EVIL }], extra: [], stale: [] },
      },
    ],
    [
      'dlq',
      dlqCommand(),
      ['list'],
      { deadLetters: [{ ...LETTER, errorCount: 1, bytes: 1, writtenAt: EVIL, errors: [] }] },
    ],
    [
      'dlq redrive',
      dlqCommand(),
      ['redrive', '--all'],
      { redriven: 0, refused: [{ id: EVIL, code: EVIL, detail: EVIL, hint: EVIL }] },
    ],
  ])('%s', async (_, command, args, body) => {
    const ran = await runCommand(command, [...args, '--url', await serverOf(JSON.stringify(body))]);
    expect(ran.out + ran.err).toContain(ESCAPED);
    expect(ran.out + ran.err).not.toMatch(UNSAFE);
  });

  test('tail', async () => {
    const at = { position: EVIL, sequence: 1, time: `2026-01-31T${EVIL}${EVIL}`, lane: EVIL };
    const put = { ...at, op: 'put', id: EVIL, metadata: { [EVIL]: EVIL } };
    const fault = { error: { code: 'SPACE_NOT_FOUND', detail: EVIL, hint: EVIL } };
    const lines = [{ start: { position: EVIL } }, put, { ...at, op: 'delete', id: EVIL }, fault];
    const body = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    const url = await serverOf(body, 200, 'x-ndjson');
    const ran = await runCommand(tailCommand(never), ['notes', '--url', url]);
    expect(ran.out.match(/a\\u001b\[2J/g)?.length).toBeGreaterThan(3);
    expect(ran.err).toContain(ESCAPED);
    expect(ran.out + ran.err).not.toMatch(UNSAFE);
  });

  test.each<[string, Command, string[]]>([
    ['status', statusCommand(), []],
    ['doctor', doctorCommand(), []],
    ['spaces', spacesCommand(), ['list']],
  ])('also the failure and the hint, in %s', async (_, command, args) => {
    for (const code of ['SPACE_NOT_FOUND', 'FORBIDDEN', EVIL]) {
      const fault = { code, detail: EVIL, hint: EVIL, status: 400 };
      const url = await serverOf(JSON.stringify(fault), 400);
      const ran = await runCommand(command, [...args, '--url', url]);
      expect(ran.out + ran.err).toContain(ESCAPED);
      expect(ran.out + ran.err).not.toMatch(UNSAFE);
    }
  });

  test('explain, of a code that was copied from there', async () => {
    const ran = await runCommand(explainCommand(), [EVIL]);
    expect(ran.err).toContain('\\u009b2J');
    expect(ran.err).not.toMatch(UNSAFE);
  });

  test('as JSON it is whole, and escaped', () => {
    const text = jsonText({ [EVIL]: EVIL });
    expect(text).not.toMatch(UNSAFE);
    expect(JSON.parse(text)).toEqual({ [EVIL]: EVIL });
  });

  test('lines, tabs and embeddings stay what they are', () => {
    const answer = { text: 'é\n\t✔', list: [1, null, true], embedding: Float32Array.of(1) };
    expect(shown(answer)).toEqual(answer);
  });
});

describe('a server that is no gateway is called that', () => {
  const asking: [string, () => Command, string[]][] = [
    ['recall by id', recallCommand, ['notes', '--id', 'a']],
    ['recall', recallCommand, ['notes', '--embedding', '[1]']],
    ['verify', verifyCommand, ['notes']],
    ['verify of all', verifyCommand, []],
    ['dlq list', dlqCommand, ['list']],
    ['dlq show', dlqCommand, ['show', '0-1']],
    ['dlq redrive', dlqCommand, ['redrive', '--all']],
    ['dlq purge', dlqCommand, ['purge', '--all']],
    ['ring', ringCommand, []],
    ['spaces list', spacesCommand, ['list']],
    ['spaces show', spacesCommand, ['show', 'notes']],
    ['put', putCommand, ['notes', '--id', 'a', '--embedding', '[1]']],
    ['tail', () => tailCommand(new AbortController().signal), ['notes']],
    ['top', () => topCommand(new AbortController().signal), ['--once']],
  ];
  test.each(asking)('by %s', async (_, command, args) => {
    for (const body of ['{}', 'null', '[null]', '"text"', '{"results":[null]}', '<html>']) {
      const url = await serverOf(body);
      const ran = await runCommand(command(), [...args, '--url', url]);
      expect(ran.err).toContain('no gateway of Engram');
      expect(ran.err).toContain('--url');
      expect(ran.code).toBe(1);
    }
  });

  test.each([
    [{}, 'cluster, epoch, members, degraded'],
    [[], 'cluster, epoch, members, degraded'],
    [null, 'cluster, epoch, members, degraded'],
    [{ ...CLUSTER, degraded: undefined }, 'degraded'],
    [{ ...CLUSTER, members: [{}] }, 'members'],
  ])('%j', async (body, missing) => {
    const url = await serverOf(JSON.stringify(body));
    const status = await runCommand(statusCommand(), ['--url', url]);
    expect(status.code).toBe(1);
    expect(status.out).toContain(`no gateway   ${url}`);
    expect(status.err).toContain(
      `no gateway of Engram: its answer to GET /v1/cluster has no ${missing};`,
    );
    const json = await runCommand(statusCommand(), ['--url', url, '--json']);
    expect(JSON.parse(json.out)).toMatchObject({ verdict: 'no gateway', members: [] });
    const doctor = await runCommand(doctorCommand(), ['--url', url]);
    expect(doctor.code).toBe(1);
    expect(doctor.out).toContain('no gateway of Engram');
    expect(doctor.out).toContain(`another server listens on ${url}`);
    expect(doctor.out).not.toContain('ready');
  });
});

test('status says of a gateway that serves operators on another port that this is the wrong one', async () => {
  const problem = {
    code: 'ROUTE_NOT_FOUND',
    detail: 'there is no route',
    hint: 'ENGRAM_ADMIN_PORT',
  };
  const url = await serverOf(JSON.stringify(problem), 404, 'problem+json');
  const { out, err, code } = await runCommand(statusCommand(), ['--url', url]);
  expect(out + err).toContain('wrong port');
  expect(out + err).toContain('ENGRAM_ADMIN_PORT');
  expect(code).toBe(1);
  const doctor = await runCommand(doctorCommand(), ['--url', url]);
  expect(doctor.out).toMatch(/the gateway is there, .* name that one with --url/);
});

test('a port that closes at once may speak TLS, and one that shows none speaks none', async () => {
  const closing = createTcpServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await once(closing, 'listening');
  onTestFinished(() => void closing.close());
  const { port } = closing.address() as AddressInfo;
  const plain = await runCommand(statusCommand(), ['--url', `http://127.0.0.1:${port}`]);
  expect(plain.out + plain.err).toContain('its URL begins with https://');
  const url = (await serverOf('{}')).replace('http:', 'https:');
  const wrong = await runCommand(statusCommand(), ['--url', url]);
  expect(wrong.out + wrong.err).toContain('its URL begins with http://');
});
