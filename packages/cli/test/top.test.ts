import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ClusterStatus } from '@engram/client';
import { sampleOf, type Sample } from '@engram/diagnosis';
import { perLane } from '@engram/model';
import { expect, onTestFinished, test } from 'vitest';
import { topCommand } from '../src/commands/top.ts';
import { lineOf, tableOf } from '../src/top/table.ts';
import { fakeCluster } from './fake-cluster.ts';
import { runCommand } from './run-command.ts';

/** A cluster of one shard that has applied so much in the lane normal. */
function status(applied: number, changes: Partial<ClusterStatus> = {}): ClusterStatus {
  const calm = { level: 'normal', cause: 'none', waiting: 0, lagMs: 0, drainRate: 0 };
  const late = { level: 'critical', cause: 'lag', waiting: 1_500, lagMs: 4_200, drainRate: 9 };
  return {
    cluster: 'engram',
    epoch: 3,
    partitionCount: 64,
    nats: { connected: true, logBytes: 25, logBytesMax: 100 },
    degraded: false,
    members: [
      { id: 'gateway-1', role: 'gateway' },
      {
        id: 'shard-1',
        role: 'shard',
        state: 'active',
        partitions: 64,
        ready: 60,
        observations: 12_000,
        privateBytes: 3 * 1024 ** 2,
        memory: 'normal',
        applied: perLane((lane) => (lane === 'normal' ? applied : 0)),
        pressure: perLane((lane) => (lane === 'low' ? late : calm)),
      },
    ],
    ...changes,
  };
}

test('rates are what was applied between two looks; the first look and a new start have none', () => {
  const first = { status: status(1_000), atMs: 500 };
  const sample = sampleOf(first, { status: status(1_500), atMs: 1_000 });
  expect(sample).toMatchObject({ rate: 1_000, observations: 12_000, logShare: 0.25 });
  expect(sample.shards[0]?.lanes.map(({ rate }) => rate)).toEqual([0, 1_000, 0]);
  expect(sampleOf(undefined, first).rate).toBeUndefined();
  const restarted = sampleOf(first, { status: status(7), atMs: 1_000 });
  expect(restarted.shards[0]?.lanes[1]).not.toHaveProperty('rate');
});

test('a table has a row for each lane, a line has everything together', () => {
  const reasons = ['shard-1 is overloaded'];
  const sample = sampleOf(
    { status: status(0), atMs: 0 },
    { status: status(9, { degraded: true, reasons }), atMs: 1_000 },
  );
  const table = tableOf(sample);
  expect(table).toMatch(
    /degraded {3}engram {3}epoch 3 {3}1 shard {3}12,000 observations {3}9\/s {3}log 25 %/,
  );
  expect(table).toMatch(/shard-1 .* 60\/64 .* 12,000 .* 3\.0 MiB .* high .* normal .* 0/);
  expect(table).toMatch(/ low .* critical .* 1,500 .* 4\.2 s /);
  expect(table).toContain('shard-1 is overloaded');
  expect(lineOf(sample)).toMatch(/9\/s {3}log 25 % {3}1,500 waiting {3}lag 4\.2 s$/);
});

test.each([401, 403] as const)('ends at a gateway that does not let it in (%i)', async (denied) => {
  await using cluster = await fakeCluster({ denied });
  const ran = await runCommand(topCommand(new AbortController().signal), ['--url', cluster.url]);
  expect(ran.code).toBe(1);
  expect(ran.err.match(/✖/g)).toHaveLength(1);
});

test('a gateway that fails is told, and looked at again until the program is stopped', async () => {
  const stop = new AbortController();
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    if (asked === 5) stop.abort();
    response.writeHead(asked === 3 ? 500 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(status(asked * 10)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const args = ['--url', url, '--json', '--interval', '100'];
  const { out, err, code } = await runCommand(topCommand(stop.signal), args);
  expect([code, err.split('\n').length]).toEqual([0, 2]);
  const samples = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Sample);
  expect(samples.length).toBeGreaterThanOrEqual(2);
  expect(samples[0]?.rate).toBeGreaterThan(0);
});

test('a member that runs here and that the cluster does not hear of makes it degraded', () => {
  const seen = { status: status(500), atMs: 0 };
  expect(sampleOf(undefined, seen).degraded).toBe(false);
  expect(sampleOf(undefined, seen, ['shard-2 runs'])).toMatchObject({
    degraded: true,
    reasons: ['shard-2 runs'],
  });
});
