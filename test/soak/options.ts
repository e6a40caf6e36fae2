import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FAULT_NAMES, isFaultName, type FaultName } from '../support/faults/schedule.ts';

export interface SoakOptions {
  readonly minutes: number;
  readonly shards: number;
  readonly gateways: number;
  /** Copies of each partition. */
  readonly replication: number;
  readonly spaces: number;
  /** Operations a second. */
  readonly rate: number;
  readonly seed: number;
  /** None: the load alone. */
  readonly faults: readonly FaultName[];
  /** Where the results are written as JSON. */
  readonly report: string | undefined;
  readonly isHelp: boolean;
}

export const USAGE = `pnpm soak [--minutes M] [--shards N] [--faults mix|none|<name,…>] [--seed S]
          [--gateways N] [--replication C] [--spaces K] [--rate R] [--report FILE]

Runs a real cluster under load, injects faults, heals them, and proves from what the clients were told
that nothing was lost, doubled or stuck. The exit code is 0 only then.

  --minutes M    of load and faults; starting and checking come on top (default 5)
  --shards N     default 3; --gateways N  default 2
  --faults …     mix: all of them in a seeded order (default); none; or some, by name:
${wrapped(FAULT_NAMES)}
  --seed S       decides about load and faults (default: a new one, which is printed)
  --replication C  copies of each partition (default 1)
  --spaces K     from small to large, of different dimensions and metrics (default 6)
  --rate R       operations a second (default 120)
  --report FILE  writes the results there as JSON

In the ledger, of all observations that were sent: searchable are the newest of their ids; overwritten
and deleted were, until a later write; rejected and dead-lettered were refused, at once or from the log;
unknown had no answer, and left no trace. Lost were acknowledged, and are not there. Answered and
unanswered in the plot are operations of each interval, reads too; an unanswered write that turns out to
be there counts as what became of it. Recovery is from the end of a phase's faults until every partition
is served by its owners again, with the start of what was killed; faults of one phase share it.`;

/** All writes are kept in memory, some 250 bytes each, and what was written in the log. */
const OPERATIONS_MAX = 2_000_000;

/** The command line cannot be meant as it is; the message says why. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws UsageError */
export function parseOptions(args: readonly string[], newSeed: () => number): SoakOptions {
  const values = parse(args);
  const minutes = numberIn('minutes', values.minutes, 0.1, 1_440);
  const rate = wholeIn('rate', values.rate, 1, 1_000);
  if (minutes * 60 * rate > OPERATIONS_MAX)
    throw new UsageError(`--minutes times --rate must be at most ${OPERATIONS_MAX} operations`);
  return {
    minutes,
    shards: wholeIn('shards', values.shards, 1, 16),
    gateways: wholeIn('gateways', values.gateways, 1, 8),
    replication: wholeIn('replication', values.replication, 1, 3),
    spaces: wholeIn('spaces', values.spaces, 1, 64),
    rate,
    seed: values.seed === undefined ? newSeed() : wholeIn('seed', values.seed, 0, 2 ** 31),
    faults: faultsOf(values.faults),
    report: values.report === undefined ? undefined : resolve(values.report),
    isHelp: values.help,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: args.filter((arg) => arg !== '--'),
      options: {
        minutes: { type: 'string', default: '5' },
        shards: { type: 'string', default: '3' },
        gateways: { type: 'string', default: '2' },
        replication: { type: 'string', default: '1' },
        spaces: { type: 'string', default: '6' },
        rate: { type: 'string', default: '120' },
        seed: { type: 'string' },
        faults: { type: 'string', default: 'mix' },
        report: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

function numberIn(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= low && value <= high) return value;
  throw new UsageError(`--${name} must be a number from ${low} to ${high}`);
}

function wholeIn(name: string, text: string, low: number, high: number): number {
  const value = numberIn(name, text, low, high);
  if (Number.isInteger(value)) return value;
  throw new UsageError(`--${name} must be a whole number`);
}

function faultsOf(text: string): readonly FaultName[] {
  if (text === 'mix') return FAULT_NAMES;
  if (text === 'none') return [];
  const names = text.split(',');
  const unknown = names.filter((name) => !isFaultName(name));
  if (unknown.length > 0)
    throw new UsageError(`there is no fault ${unknown.join(', ')}\n\n${USAGE}`);
  return names.filter(isFaultName);
}

function wrapped(words: readonly string[]): string {
  const lines = [''];
  for (const word of words)
    if (lines.at(-1)!.length + word.length > 70) lines.push(word);
    else lines.push(`${lines.pop()!} ${word}`.trim());
  return lines.map((line) => `                 ${line}`).join('\n');
}
