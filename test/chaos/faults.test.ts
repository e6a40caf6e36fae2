import { afterAll, beforeAll, expect, test } from 'vitest';
import { ChaosRun } from '../support/chaos-run.ts';
import {
  FAULT_NAMES,
  faultKind,
  phasesOf,
  type FaultName,
  type Phase,
} from '../support/faults/schedule.ts';

// One cluster's life: tenants write and read all the time, one fault comes after another, and after
// each the cluster must get well in time. At the end of each test the whole history is checked.

const RECOVERY_DEADLINE_MS = 60_000;
/** With the faults before it, two and a half minutes in all; `pnpm soak` goes on for as long as one likes. */
const MIX_MS = 60_000;

let run: ChaosRun;

beforeAll(async () => {
  run = await ChaosRun.start({
    shards: 3,
    gateways: 2,
    spaces: 5,
    rate: 80,
    seed: 7,
    recoveryDeadlineMs: RECOVERY_DEADLINE_MS,
  });
});

afterAll(async () => {
  await run[Symbol.asyncDispose]();
});

type Step = readonly (readonly [FaultName, lastsMs: number])[];

/** Each step is a phase; together are only those that wait for the same thing anyhow. */
const GROUPS: readonly (readonly [string, readonly Step[]])[] = [
  [
    'processes are killed',
    [
      [['kill-shard', 1_000]],
      [['kill-nats', 500]],
      [['kill-redis', 1_000]],
      [
        ['same-id', 0],
        ['kill-gateway', 500],
      ],
      [['restart-all', 0]],
    ],
  ],
  [
    'processes stop and go on',
    // The shard beyond its lease, so that another one has its partitions when it wakes up.
    [
      [['stop-shard', 5_000]],
      [['stop-gateway', 1_000]],
      [['stop-nats', 1_500]],
      [['stop-redis', 1_500]],
    ],
  ],
  [
    'the network of a member is bad',
    [
      [['nats-delay', 1_000]],
      [['nats-cut', 0]],
      [['nats-half-open', 1_000]],
      [['nats-hold', 1_500]],
      [['nats-deaf', 1_000]],
      [['nats-mute', 1_000]],
      [['redis-refuse', 1_000]],
      [['redis-hold', 4_000]],
    ],
  ],
  [
    'data is bad, doubled or gone',
    [
      [['poison', 0]],
      [['duplicates', 0]],
      [['flush-redis', 0]],
      [['damaged-files', 0]],
      [['clock-jump', 1_500]],
    ],
  ],
];

async function endure(phase: Phase): Promise<void> {
  for (const { name, target } of await run.phase(phase)) expect(target, name).toBeDefined();
}

async function expectNothingLost(): Promise<void> {
  const { verdict, ledger, writers, copies } = await run.verify();
  expect(verdict.violations).toEqual([]);
  expect([ledger.lost, ledger.duplicated]).toEqual([0, 0]);
  expect(writers.violations).toEqual([]);
  expect(copies.filter(({ ok, isExact }) => !ok || !isExact)).toEqual([]);
  // An idle load proves nothing.
  const seen = [
    ledger.searchable,
    ledger.deadLettered,
    verdict.readsChecked,
    writers.count,
    copies.length,
  ];
  expect(Math.min(...seen)).toBeGreaterThan(0);
}

test.each(GROUPS)('nothing is lost, doubled or stuck when %s', async (_, steps) => {
  for (const [number, step] of steps.entries())
    await endure({
      number,
      faults: step.map(([name, lastsMs], i) => ({ name, startMs: 0, lastsMs, seed: number + i })),
    });
  await expectNothingLost();
});

test('nothing is lost when the disk of a shard is full', async ({ skip }) => {
  const why = faultKind('disk-full').cannot?.(run.running);
  skip(why !== undefined, why);
  await endure({
    number: 0,
    faults: [{ name: 'disk-full', startMs: 0, lastsMs: 4_000, seed: 1 }],
  });
  await expectNothingLost();
});

test(
  'nothing is lost when they come at random, one or several at once',
  async () => {
    const end = performance.now() + MIX_MS;
    for (const phase of phasesOf(20, FAULT_NAMES)) {
      if (performance.now() > end) break;
      await run.phase(phase);
    }
    await expectNothingLost();
  },
  3 * MIX_MS,
);
