import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { planCommand } from '../src/commands/plan.ts';
import { runProgram } from '../src/program.ts';
import { runCommand } from './run-command.ts';

const plan = (...args: string[]) => runCommand(planCommand(), args);
const DEFAULTS = createRequire(import.meta.url).resolve('@engram/capacity/defaults.json');
const ASKED = ['--rate', '20000', '--dimension', '384', '--retention', '1h', '--replicas', '2'];

interface Planned {
  readonly shards: number;
  readonly cores: number;
  readonly coresBusy: Readonly<Record<string, number>>;
  readonly delays: { shards: number; loads: { offeredPerS: number; p99Ms?: number }[] }[];
}

test('a plan says what is needed, by stage, how long batches wait, and what it takes for granted', async () => {
  const { out, code } = await plan(...ASKED, '--spaces', '500');
  expect(code).toBe(0);
  expect(out).toContain('20,000 observations of 384 dimensions a second into 500 spaces, 2 copies');
  for (const part of [
    /│ shards +│ +\d+ +│/,
    /│ gateways +│/,
    /│ memory of a shard +│/,
    /│ log +│/,
    /│ shards: graphs +│/,
    /50 %: [\d,]+ +│ +70 %: [\d,]+ +│ +85 %: [\d,]+ +│ +95 %: /,
    /Taken for granted:\n- costs are those of /,
    /ENGRAM_REPLICATION/,
  ])
    expect(out).toMatch(part);
});

test('a plan is the same each time, also as JSON, and its delays grow with the load', async () => {
  // Without graphs, which take what is left over and delay nobody.
  const asked = [...ASKED, '--retention', '1s', '--json'];
  const [first, second] = [await plan(...asked), await plan(...asked)];
  expect(first.out).toBe(second.out);
  const { shards, delays } = JSON.parse(first.out) as Planned;
  expect(delays.map((each) => each.shards)).toEqual(
    [shards - 1, shards, shards + 1].filter((count) => count >= 2),
  );
  const { loads } = delays.find((each) => each.shards === shards)!;
  // What is asked comes first, then shares of what so many shards take.
  expect(loads).toHaveLength(5);
  expect(loads[4]!.p99Ms).toBeGreaterThan(loads[1]!.p99Ms!);
});

test('many spaces take no longer than some', async () => {
  const { code, out } = await plan('--rate', '1', '--dimension', '1', '--spaces', '10000000');
  expect(code).toBe(0);
  expect(out).toContain('10,000,000 spaces');
});

test.each([
  ['variation', 1e200, 'cpu.variation must be a number from 0 to 10'],
  ['applyMainShare', 0, 'cpu.applyMainShare must be a number above 0, 1 at most'],
  ['apply', { perBatchUs: 0, perObservationUs: 0, perByteUs: 0 }, 'cpu.apply must cost something'],
])('costs whose %s no machine has are refused by their names', async (name, value, told) => {
  const folder = mkdtempSync(join(tmpdir(), 'engram-plan-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const coefficients = JSON.parse(readFileSync(DEFAULTS, 'utf8')) as { cpu: object };
  const file = join(folder, 'costs.json');
  writeFileSync(
    file,
    JSON.stringify({ ...coefficients, cpu: { ...coefficients.cpu, [name]: value } }),
  );
  const refused = await plan(...ASKED, '--coefficients', file);
  expect(refused).toMatchObject({ code: 2, out: '' });
  expect(refused.err).toContain(told);
});

test('costs come from a file where one is named, such as the results of the bench', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'engram-plan-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'capacity.json');
  const coefficients = JSON.parse(readFileSync(DEFAULTS, 'utf8')) as {
    cpu: { apply: { perBatchUs: number } };
  };
  coefficients.cpu.apply.perBatchUs *= 100;
  writeFileSync(file, JSON.stringify({ environment: {}, coefficients }));
  const asked = [...ASKED, '--json'];
  const usual = JSON.parse((await plan(...asked)).out) as Planned;
  const dear = JSON.parse((await plan(...asked, '--coefficients', file)).out) as Planned;
  expect(dear.coresBusy['apply']).toBeGreaterThan(usual.coresBusy['apply']! * 5);

  writeFileSync(file, '{"machine": 1}');
  const wrong = await plan(...ASKED, '--coefficients', file);
  expect(wrong).toMatchObject({ code: 2, out: '' });
  expect(wrong.err).toContain(`--coefficients ${file}: machine must be an object`);
  writeFileSync(file, 'no JSON');
  expect((await plan(...ASKED, '--coefficients', file)).err).toContain('--coefficients');
  const missing = await plan(...ASKED, '--coefficients', join(folder, 'none.json'));
  expect(missing).toMatchObject({ code: 2, out: '' });
  expect(missing.err).toContain('ENOENT');
});

test('what cannot be or is silly is warned of, on standard error', async () => {
  const hot = await plan('--rate', '50000000', '--dimension', '768', '--spaces', '1', '--json');
  expect(hot.code).toBe(1);
  expect(hot.err).toContain('⚠ a space lives on one partition');
  expect((JSON.parse(hot.out) as { isEnough: boolean }).isEnough).toBe(false);
  const table = await plan('--rate', '1000000', '--dimension', '768', '--spaces', '1');
  expect(table.out.split('\n')[1]).toMatch(
    /^NOT ENOUGH: (1 shard takes|\d+ shards take) [\d,]+\/s .* 1,000,000\/s/,
  );
});

test('the page cache that recalls want stands in the table', async () => {
  const { out } = await plan('--rate', '20000', '--dimension', '768', '--retention', '1d');
  expect(out).toMatch(/│ page cache of a shard +│ [\d.]+ GiB/);
});

test('wrong options are told by their names, before anything is computed', async () => {
  const said: string[] = [];
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said.push(String(text));
    return true;
  });
  const options = { version: '0', signal: AbortSignal.abort(), onStoppable: () => undefined };
  try {
    for (const [args, told] of [
      [['--dimension', '8'], "required option '--rate <n>' not specified"],
      [['--rate', '5'], "required option '--dimension <n>' not specified"],
      [['--rate', 'many', '--dimension', '8'], "option '--rate <n>' argument 'many' is invalid"],
      [['--rate', '5', '--dimension', '99999'], "option '--dimension <n>' argument '99999'"],
      [[...ASKED, '--retention', '5 weeks'], 'It must be a time such as 90s, 10m, 2h or 1d'],
      [[...ASKED, '--retention', '0s'], "option '--retention <time>'"],
      [[...ASKED, '--replicas', '4'], "option '--replicas <n>'"],
      [[...ASKED, '--log-replicas', '2'], "option '--log-replicas <n>' argument '2' is invalid"],
      [[...ASKED, '--utilisation', '100'], "option '--utilisation <percent>'"],
      [[...ASKED, '--spaces', '0'], "option '--spaces <n>'"],
    ] as const) {
      said.length = 0;
      await runProgram(['plan', ...args], options);
      expect([process.exitCode, said.join('')]).toEqual([2, expect.stringContaining(told)]);
    }
  } finally {
    process.exitCode = undefined;
    write.mockRestore();
  }
});
