import { expect, test } from 'vitest';
import { figuresOf, goalsOf, goalTable } from '../src/peers/goals.ts';
import type { Killed, Measured } from '../src/peers/measure.ts';
import type { Peer, Search, SearchSetting } from '../src/peers/peer.ts';
import { untilAborted } from '../src/peers/peer.ts';
import { copyRows } from '../src/peers/postgres-copy.ts';
import { redisFast } from '../src/peers/redis.ts';
import { searchLoad } from '../src/peers/search-load.ts';
import { sideTables, type Side } from '../src/peers/tables.ts';

const setting: SearchSetting = { label: 'ef 10', ef: 10 };
const killed: Killed = {
  writtenMs: 900,
  restedMs: [100, 120],
  restedDisk: { storeBytes: 400, logBytes: 40 },
};
const usual: Measured = {
  perSecond: 2_000,
  perCpuSecond: 1_000,
  setting: setting.label,
  recall: 0.96,
  searched: [
    { clients: 1, perSecond: 500, perCpuSecond: 400, p50Ms: 1, p99Ms: 2 },
    { clients: 8, perSecond: 800, perCpuSecond: 600, p50Ms: 4, p99Ms: 8 },
  ],
  memoryEach: 300,
  storeMemoryEach: 200,
  disk: { storeBytes: 500, logBytes: 50 },
  killed,
};

function peer(name: string): Peer {
  return {
    name,
    terms: '',
    settings: [setting],
    isRepeated: true,
    absence: () => undefined,
    whileRunning: () => Promise.reject(new Error('it is not run here')),
  };
}

function side(name: string, runs: readonly Measured[]): Side {
  return { peer: peer(name), runs, absence: runs.length > 0 ? undefined : 'not installed' };
}

const column = (table: { readonly rows: readonly (readonly string[])[] }, at: number) =>
  table.rows.map((row) => row[at]);

test('the rows of a COPY are in the binary format of PostgreSQL', () => {
  const slab = new Float32Array([0, 0, 1.5, -2]);
  const expected = [
    ...[...'PGCOPY\n'].map((char) => char.charCodeAt(0)),
    ...[0xff, 0x0d, 0x0a, 0], // the end of the signature
    ...[0, 0, 0, 0, 0, 0, 0, 0], // flags, length of the extension
    ...[0, 2, 0, 0, 0, 4, 0, 0, 0, 1], // fields, and the id 1
    ...[0, 0, 0, 12, 0, 2, 0, 0, 0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0], // the vector
    ...[0xff, 0xff], // the end
  ];
  expect([...copyRows({ slab, dimension: 2 }, 1, 2)]).toEqual(expected);
});

test('each query is asked once, by as many clients as told', async () => {
  const asked: number[] = [];
  let underWay = 0;
  let most = 0;
  const search: Search = async ([query]) => {
    most = Math.max(most, ++underWay);
    asked.push(query!);
    await Promise.resolve();
    underWay--;
    return [query! * 10];
  };
  const queries = [1, 2, 3, 4, 5].map((value) => Float32Array.of(value));
  const clients = 3;
  const tally = await searchLoad([search, search, search], queries, { setting, clients });
  expect(asked.toSorted()).toEqual([1, 2, 3, 4, 5]);
  expect(tally.found).toEqual([[10], [20], [30], [40], [50]]);
  expect(tally.latenciesMs).toHaveLength(5);
  expect(most).toBe(clients);
});

test('a load for a time begins again with the first query, and may ask only the first ones', async () => {
  const search: Search = ([query]) => Promise.resolve([query!]);
  const queries = [1, 2, 3].map((value) => Float32Array.of(value));
  const load = { setting, clients: 1, durationMs: 20, first: 2 };
  const tally = await searchLoad([search], queries, load);
  expect(tally.found).toEqual([[1], [2]]);
  expect(tally.latenciesMs.length).toBeGreaterThan(2);
});

test('work under way does not hold back an abort', async () => {
  const stop = new AbortController();
  const waiting = untilAborted(new Promise(() => undefined), stop.signal);
  stop.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(untilAborted(Promise.reject(new Error('late')), stop.signal)).rejects.toThrow(
    'enough',
  );
  await expect(untilAborted(Promise.resolve(7), new AbortController().signal)).resolves.toBe(7);
});

test('a side that is absent stands in each table with how to install it', () => {
  const tables = sideTables('words', 100, [side('ours', [usual]), side('theirs', [])]);
  expect(tables).toHaveLength(4);
  for (const { rows, head } of tables) {
    expect(rows[1]!.slice(0, 2)).toEqual(['theirs', 'absent: pnpm bench:peers']);
    expect(rows.map((row) => row.length)).toEqual([head.length, head.length]);
  }
});

test('ours is compared with the fastest of those that are there', () => {
  const ours = side('ours', [{ ...usual, perCpuSecond: 3_000 }]);
  const others = [
    side(redisFast.name, [usual]),
    side('Chroma 1', [{ ...usual, perCpuSecond: 1_500 }]),
    side('pgvector', []),
  ];
  const table = goalTable('words', goalsOf(2), ours, others);
  expect(table.rows[0]).toEqual(['observations per CPU-second', 'Chroma 1', '2.00', '≥ 2', 'yes']);
  expect(column(table, 1)).not.toContain('pgvector');
});

test('less is better of times, memory and disk', () => {
  const slow = {
    ...usual,
    storeMemoryEach: 201,
    killed: { ...killed, restedMs: [90, 119, 300] },
  };
  const table = goalTable('words', goalsOf(1), side('ours', [slow]), [
    side(redisFast.name, [usual]),
  ]);
  const met = new Map(table.rows.map((row) => [row[0], row[4]]));
  expect(met.get('memory, of what holds the rows')).toBe('no');
  expect(met.get('memory, of all processes')).toBe('yes');
  expect(met.get('first right answer after a kill, rested')).toBe('yes');
});

test('figures are ratios to Redis of the same repetition; without Redis there are none', () => {
  const runs = [
    { ...usual, perCpuSecond: 4_000 },
    { ...usual, perCpuSecond: 1_000 },
  ];
  const theirs = [
    { ...usual, perCpuSecond: 2_000 },
    { ...usual, perCpuSecond: 500 },
  ];
  const figures = figuresOf('words', side('ours', runs), [side(redisFast.name, theirs)]);
  expect(figures[0]).toEqual({
    name: 'words: observations per CPU-second, of Redis',
    unit: '×',
    better: 'higher',
    samples: [2, 2],
  });
  expect(new Set(figures.map(({ name }) => name)).size).toBe(figures.length);
  expect(figuresOf('words', side('ours', runs), [side(redisFast.name, [])])).toEqual([]);
});
