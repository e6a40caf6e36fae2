import { expect, test } from 'vitest';
import { loadCommand } from '../src/commands/load.ts';
import type { LoadResult } from '../src/load/load-run.ts';
import { fakeCluster } from './fake-cluster.ts';
import { runCommand } from './run-command.ts';

const load = (...args: string[]) =>
  runCommand(loadCommand(new AbortController().signal), [...args, '--seconds', '1']);

test('a load tells its rates, and leaves nothing behind', async () => {
  await using cluster = await fakeCluster({});
  const small = ['--batch', '5', '--dimension', '3', '--spaces', '2'];
  const ran = await load('--url', cluster.url, ...small);
  expect(ran.code).toBe(0);
  expect(ran.out).toMatch(
    /^accepted {2}[\d,]+\/s {3}[\d,]+ observations in 2 spaces, p50 .*, p99 /,
  );
  expect(ran.out).toMatch(/\nrecalled {2}[\d,]+\/s/);
  expect(cluster.spaces.size).toBe(0);
  expect(new Set(cluster.batches.map(({ count }) => count))).toEqual(new Set([5]));
});

test('what it kept can be counted, and what came too early came again', async () => {
  const batches: string[] = [];
  await using cluster = await fakeCluster({
    onBatch: (ids, nth) => {
      batches.push(ids.join());
      return Promise.resolve(nth === 1 ? 429 : undefined);
    },
  });
  const ran = await load(
    '--url',
    cluster.url,
    '--batch',
    '2',
    '--dimension',
    '3',
    '--keep',
    '--json',
  );
  const { accepted, ...result } = JSON.parse(ran.out) as LoadResult & { spaces: string[] };
  const rows = result.spaces.reduce((sum, space) => sum + cluster.spaces.get(space)!.rows.size, 0);
  expect([result.spaces.length, rows]).toEqual([4, accepted]);
  expect(result.refused).toBe(1);
  expect(batches.filter((ids) => ids === batches[0])).toHaveLength(2);
});

test('a cluster that takes nobody is an error, not a rate of none', async () => {
  await using cluster = await fakeCluster({ denied: 401 });
  const ran = await load('--url', cluster.url);
  expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('UNAUTHENTICATED')]);
  expect(ran.out).toBe('');
});
