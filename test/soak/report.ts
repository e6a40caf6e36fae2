import type { ChaosEnd } from '../support/chaos-run.ts';
import type { CopyVerdict } from '../support/load/verify-copies.ts';
import type { FaultReport } from '../support/faults/run-phase.ts';
import type { Sample } from './measures.ts';
import { plot } from './plot.ts';

export interface SoakResult {
  readonly seed: number;
  readonly faults: readonly FaultReport[];
  readonly samples: readonly Sample[];
  /** Missing when the run broke before it. */
  readonly end: ChaosEnd | undefined;
  /** In all checks of the run. */
  readonly readsChecked: number;
  /** Why the cluster, or the run, did not get to the end. */
  readonly failure: string | undefined;
}

export function holds({ end, failure }: SoakResult): boolean {
  if (end === undefined || failure !== undefined) return false;
  const { verdict, ledger, writers, copies } = end;
  if (!copies.every(isSound)) return false;
  const isLedgerSound = ledger.lost === 0 && ledger.duplicated === 0;
  return verdict.violationCount === 0 && isLedgerSound && writers.violations.length === 0;
}

export function describe(result: SoakResult): string {
  const { seed, end, failure, faults, samples } = result;
  const parts = [faultLines(faults), plotLines(samples)];
  if (end !== undefined) parts.push(ledgerLines(end, result.readsChecked), violationLines(end));
  if (failure !== undefined) parts.push(`it did not get to the end: ${failure}`);
  parts.push(holds(result) ? `everything holds (seed ${seed})` : `FAILED (seed ${seed})`);
  return parts.filter((part) => part !== '').join('\n\n');
}

function faultLines(faults: readonly FaultReport[]): string {
  const kinds = new Map<string, FaultReport[]>();
  for (const fault of faults) kinds.set(fault.name, [...(kinds.get(fault.name) ?? []), fault]);
  if (kinds.size === 0) return 'no faults';
  const lines = [...kinds].map(([name, all]) => {
    const hit = all.filter(({ target }) => target !== undefined);
    const worst = Math.max(0, ...hit.map(({ recoveryMs }) => recoveryMs));
    const missed = all.length - hit.length;
    return [
      name.padEnd(16),
      String(hit.length).padStart(5),
      seconds(hit.reduce((sum, { recoveryMs }) => sum + recoveryMs, 0) / Math.max(1, hit.length)),
      seconds(worst),
      missed === 0 ? '' : `  ${missed} times there was nothing to hit`,
    ]
      .join(' ')
      .trimEnd();
  });
  return ['fault            times  recovery: mean, worst', ...lines].join('\n');
}

function plotLines(samples: readonly Sample[]): string {
  const rows: readonly [string, (sample: Sample) => number | undefined, string][] = [
    ['memory', ({ memoryBytes }) => memoryBytes && memoryBytes / 2 ** 20, 'MiB'],
    ['lag', ({ lag }) => lag, 'entries'],
    ['write p99', ({ writeP99Ms }) => writeP99Ms, 'ms'],
    ['read p99', ({ readP99Ms }) => readP99Ms, 'ms'],
    ['answered', ({ answered }) => answered, ''],
    ['unanswered', ({ unanswered }) => unanswered, ''],
  ];
  if (samples.length === 0) return '';
  return rows
    .map(([name, of, unit]) => {
      const numbers = samples.map(of);
      const max = Math.max(0, ...numbers.map((number) => number ?? 0));
      return `${name.padEnd(10)} ${plot(numbers)}  at most ${Math.round(max)} ${unit}`.trimEnd();
    })
    .join('\n');
}

function isSound({ ok, isExact }: CopyVerdict): boolean {
  return ok && isExact;
}

function ledgerLines({ ledger, writers, copies }: ChaosEnd, readsChecked: number): string {
  const { produced, searchable, overwritten, deleted, rejected, deadLettered, unknown } = ledger;
  return [
    `produced ${produced} = searchable ${searchable} + overwritten ${overwritten} + deleted ${deleted}` +
      ` + rejected ${rejected} + dead-lettered ${deadLettered} + unknown ${unknown}` +
      (ledger.lost === 0 ? '' : ` + LOST ${ledger.lost}`),
    `lost ${ledger.lost}, duplicated ${ledger.duplicated}; ${ledger.deletes} deletes acknowledged; ${readsChecked} reads checked`,
    `${writers.count} records of checkpoints seen, ${writers.violations.length} of them by a fenced writer`,
    `${copies.length} copies of spaces verified id by id, ${copies.filter((copy) => !isSound(copy)).length} of them not as the log says`,
  ].join('\n');
}

function violationLines({ verdict, writers, copies }: ChaosEnd): string {
  const { violations, violationCount } = verdict;
  const wrong = copies.filter((copy) => !isSound(copy)).map((copy) => JSON.stringify(copy));
  if (violationCount === 0) return [...writers.violations, ...wrong].slice(0, 20).join('\n');
  const lines = violations.slice(0, 20).map(({ rule, detail }) => `  ${rule}: ${detail}`);
  return [`${violationCount} violations`, ...lines].join('\n');
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`.padStart(9);
}
