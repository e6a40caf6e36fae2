// The command `pnpm soak`, and the only file here that takes signals and sets the exit code.

import { cp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ChaosRun, type ChaosEnd } from '../support/chaos-run.ts';
import type { FaultReport } from '../support/faults/run-phase.ts';
import { faultKind, phasesOf } from '../support/faults/schedule.ts';
import { Measures } from './measures.ts';
import { parseOptions, USAGE, UsageError, type SoakOptions } from './options.ts';
import { describe, holds, type SoakResult } from './report.ts';

const RECOVERY_DEADLINE_MS = 120_000;
const BETWEEN_PHASES_MS = 1_000;
/** Reads are kept until they are checked. */
const CHECK_EVERY_MS = 5 * 60_000;

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => {
    if (!stop.signal.aborted) console.error('the phase under way ends, then all is checked …');
    stop.abort();
  });

try {
  const options = parseOptions(process.argv.slice(2), () => Math.floor(Math.random() * 2 ** 31));
  if (options.isHelp) console.log(USAGE);
  else if (!(await soak(options))) process.exitCode = 1;
} catch (error) {
  console.error(error instanceof UsageError ? error.message : error);
  process.exitCode = 1;
}

/** @returns whether everything held */
async function soak(options: SoakOptions): Promise<boolean> {
  const { minutes, shards, gateways, replication, spaces, rate, seed } = options;
  console.log(
    `seed ${seed}: ${minutes} min, ${shards} shards, ${gateways} gateways, ` +
      `replication ${replication}, ${spaces} spaces, ${rate}/s`,
  );
  const begun = performance.now();
  const stamp = (): string => `${((performance.now() - begun) / 1_000).toFixed(1).padStart(7)} s `;
  const measures = new Measures();
  await using run = await ChaosRun.start({
    shards,
    gateways,
    spaces,
    rate,
    seed,
    env: { ENGRAM_REPLICATION: String(replication) },
    recoveryDeadlineMs: RECOVERY_DEADLINE_MS,
    onAnswer: (...answer) => measures.noteAnswer(...answer),
    onFault: ({ name, lastsMs }, target) =>
      console.log(`${stamp()} ${name} ${target ?? '(nothing to hit)'}, ${lastsMs} ms or more`),
  });
  const { cluster } = run.running;
  const runMs = minutes * 60_000;
  measures.start(
    cluster.gateways.map(({ url }) => url),
    runMs,
  );
  const faults: FaultReport[] = [];
  let end: ChaosEnd | undefined;
  let readsChecked = 0;
  const check = async (): Promise<boolean> => {
    console.log(`${stamp()} checking ${run.recorder.writes.length} writes`);
    end = await run.verify();
    readsChecked += end.verdict.readsChecked;
    const { verdict, copies } = end;
    return verdict.violationCount === 0 && copies.every(({ ok }) => ok);
  };
  let failure: string | undefined;
  try {
    const onPhase = (reports: readonly FaultReport[]): void => {
      faults.push(...reports);
      console.log(`${stamp()} all is well after ${(reports[0]?.recoveryMs ?? 0) / 1_000} s`);
    };
    if (await inject({ run, options, runMs, onPhase, check })) await check();
  } catch (error) {
    failure = String(error instanceof Error ? (error.stack ?? error) : error);
  } finally {
    await measures.close();
  }
  const result: SoakResult = {
    seed,
    faults,
    samples: measures.samples,
    end,
    readsChecked,
    failure,
  };
  console.log(`\n${describe(result)}`);
  if (options.report !== undefined)
    await writeFile(options.report, JSON.stringify({ options, ...result }, null, 2));
  if (holds(result)) return true;
  const logs = join(tmpdir(), `engram-soak-${seed}-logs`);
  await cp(join(cluster.dataDir, 'logs'), logs, { recursive: true });
  console.log(`the logs are in ${logs}`);
  return false;
}

interface Injection {
  readonly run: ChaosRun;
  readonly options: SoakOptions;
  readonly runMs: number;
  readonly onPhase: (reports: readonly FaultReport[]) => void;
  /** Resolves to whether all holds so far. */
  readonly check: () => Promise<boolean>;
}

/** Phase after phase until the time is over. @returns false when a check on the way failed */
async function inject({ run, options, runMs, onPhase, check }: Injection): Promise<boolean> {
  const endAt = performance.now() + runMs;
  let checkAt = performance.now() + CHECK_EVERY_MS;
  const wait = (ms: number) =>
    pause(Math.max(0, Math.min(ms, endAt - performance.now())), undefined, {
      signal: stop.signal,
    }).catch(() => undefined); // a signal ends the waiting
  const possible = options.faults.filter((name) => {
    const why = faultKind(name).cannot?.(run.running);
    if (why !== undefined) console.log(`without ${name}: ${why}`);
    return why === undefined;
  });
  const phases = possible.length === 0 ? undefined : phasesOf(options.seed, possible);
  for (;;) {
    await wait(BETWEEN_PHASES_MS);
    if (stop.signal.aborted || performance.now() >= endAt) return true;
    if (phases !== undefined) onPhase(await run.phase(phases.next().value));
    if (performance.now() < checkAt) continue;
    if (!(await check())) return false;
    checkAt = performance.now() + CHECK_EVERY_MS;
  }
}
