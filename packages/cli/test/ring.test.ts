import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { numberRanges } from '@engram/diagnosis';
import type { MemberId, PartitionId } from '@engram/model';
import { assign } from '@engram/ring';
import { expect, onTestFinished, test } from 'vitest';
import { ringCommand } from '../src/commands/ring.ts';
import { runCommand } from './run-command.ts';

const ring = (...args: string[]) => runCommand(ringCommand(), args);

const SHARDS = ['shard-1', 'shard-2', 'shard-3'];

interface Planned {
  readonly madeUp: string[];
  readonly moving: number;
  readonly ideal: number;
  readonly moves: { from: string; to: string; partitions: PartitionId[] }[];
}

/** A gateway of a cluster of three shards that only tells its ring. */
async function gateway(moves: readonly object[] = []): Promise<string> {
  const members = [
    { id: 'gateway-1', role: 'gateway', state: 'active', url: 'http://g', replication: 1 },
    { id: 'shard-0', role: 'shard', state: 'leaving', url: 'http://0', replication: 1, owned: 0 },
    ...SHARDS.map((id) => ({ id, role: 'shard', state: 'active', url: `http://${id}`, owned: 21 })),
  ];
  const assignment = assign(SHARDS as MemberId[], 64);
  const partitions = Array.from({ length: 64 }, (_, partition) => {
    const owners = assignment.owners(partition as PartitionId);
    return { partition, owners, ready: owners };
  });
  const common = { cluster: 'c', epoch: 9, partitionCount: 64, replication: 1 };
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/v1/ring' ? 200 : 404, {
      'content-type': 'application/json',
    });
    response.end(JSON.stringify({ ...common, members, partitions, moves }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('ring shows members, owners, and how far each move is', async () => {
  const read = { from: 'shard-0', to: 'shard-1', percent: 41.5, leftMs: 2_300 };
  const moves = [
    { ...read, partition: 3 },
    { ...read, partition: 4 },
    { partition: 9, from: null, to: 'shard-2', percent: null, leftMs: null },
  ];
  const { out, code } = await ring('--url', await gateway(moves));
  expect(code).toBe(0);
  expect(out).toContain('c   epoch 9   64 partitions   replication 1');
  expect(out).toMatch(/shard-0 .*leaving/);
  expect(out).toMatch(/shard-0 .* shard-1 .* 3-4 .* 41\.5 % .* 2\.3 s/);
  expect(out).toMatch(/\(a copy more\) .* shard-2 .* 9 .* \? .* \?/);
  const still = await ring('--url', await gateway());
  expect(still.out).toContain('Nothing moves.');
  const own = assign(SHARDS as MemberId[], 64).partitionsOf('shard-2' as MemberId);
  expect(still.out).toContain(numberRanges(own));
});

test('a plan of a join is what the ring will do with these ids', async () => {
  const url = await gateway();
  const { out, err, code } = await ring('plan', '--add', 'shard-4', '--url', url, '--json');
  expect([code, err]).toEqual([0, '']);
  const plan = JSON.parse(out) as Planned;
  expect([plan.ideal, plan.madeUp]).toEqual([16, []]);
  const [before, after] = [SHARDS, [...SHARDS, 'shard-4']].map((ids) =>
    assign(ids as MemberId[], 64),
  );
  const moved = Array.from({ length: 64 }, (_, p) => p as PartitionId).filter(
    (p) => before!.owners(p)[0] !== after!.owners(p)[0],
  );
  const planned = plan.moves.flatMap(({ partitions }) => partitions);
  expect(planned.sort((left, right) => left - right)).toEqual(moved);
  expect(plan.moving).toBe(moved.length);
});

test('a plan of so many shards makes their ids up and says so', async () => {
  const { out, err, code } = await ring('plan', '--add', '2', '--url', await gateway());
  expect(code).toBe(0);
  expect(out).toContain('from 3 shards to 5   64 partitions   replication 1');
  expect(out).toMatch(/\d+ of 64 copies are read by another shard; ideal is 25\.6/);
  expect(err).toContain('new-1, new-2: made up; the real ids decide what moves');
});

test('a plan of a shard that leaves gives all that it has to others', async () => {
  const args = ['plan', '--remove', 'shard-2', '--url', await gateway(), '--json'];
  const plan = JSON.parse((await ring(...args)).out) as Planned;
  const own = assign(SHARDS as MemberId[], 64).partitionsOf('shard-2' as MemberId);
  const given = plan.moves.filter(({ from }) => from === 'shard-2');
  expect(given.flatMap(({ partitions }) => partitions)).toHaveLength(own.length);
  expect(plan.moves.every(({ to }) => to !== 'shard-2')).toBe(true);
});

test('a plan refuses what cannot happen', async () => {
  const url = await gateway();
  for (const [args, told] of [
    [[], 'give --add, --remove or both'],
    [['--add', 'shard-1'], 'there is a member shard-1 already'],
    [['--add', '0'], 'a number from 1 to 64'],
    [['--add', '-1'], 'a number from 1 to 64'],
    [['--add', 'no id'], 'no id cannot be an id'],
    [['--remove', ...SHARDS], 'no shard would be left'],
    [['--remove', 'shard-0'], 'shard-0 is not among the shards shard-1, shard-2, shard-3'],
  ] as const) {
    const { err, code } = await ring('plan', ...args, '--url', url);
    expect([code, err.includes(told)], `${args.join(' ')}: ${err}`).toEqual([2, true]);
  }
});

test('ranges are short and complete', () => {
  expect(numberRanges([])).toBe('');
  expect(numberRanges([5])).toBe('5');
  expect(numberRanges([0, 1, 2, 4, 6, 7])).toBe('0-2, 4, 6-7');
});
