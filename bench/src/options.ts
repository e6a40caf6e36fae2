import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Groups to run; none: all. */
  readonly names: readonly string[];
  readonly isQuick: boolean;
  readonly words: number;
  readonly repetitions: number;
  /** Instead of bench/results/<group>.json. */
  readonly json: string | undefined;
  /** Name under which the figures are kept for later runs. */
  readonly saveBaseline: string | undefined;
  /** Name of the figures that this run is compared with. */
  readonly baseline: string | undefined;
  /** Folder for report.html and report.md. */
  readonly report: string | undefined;
  readonly isHelp: boolean;
}

export const WORDS_DEFAULT = 20_000;
const WORDS_MIN = 500;
const WORDS_MAX = 200_000;
const REPETITIONS = 3;
const REPETITIONS_MAX = 100;

/** The command line cannot be meant as it is; the message says why. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws UsageError */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parse(args);
  const words = Number(values.words);
  if (!Number.isInteger(words) || words < WORDS_MIN || words > WORDS_MAX)
    throw new UsageError(`--words must be an integer from ${WORDS_MIN} to ${WORDS_MAX}`);
  const repetitions = Number(values.repetitions ?? (values.quick ? 1 : REPETITIONS));
  if (!Number.isInteger(repetitions) || repetitions < 1 || repetitions > REPETITIONS_MAX)
    throw new UsageError(`--repetitions must be an integer from 1 to ${REPETITIONS_MAX}`);
  return {
    names: positionals,
    isQuick: values.quick,
    words,
    repetitions,
    json: values.json === undefined ? undefined : resolve(values.json),
    saveBaseline: nameOf(values['save-baseline'], '--save-baseline'),
    baseline: nameOf(values.baseline, '--baseline'),
    report: values.report === undefined ? undefined : resolve(values.report),
    isHelp: values.help,
  };
}

/** A file is called by it. */
function nameOf(name: string | undefined, option: string): string | undefined {
  if (name === undefined || /^[A-Za-z0-9][\w.-]{0,63}$/.test(name)) return name;
  throw new UsageError(`${option} takes a name of letters, digits, dots, dashes and underscores`);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        'save-baseline': { type: 'string' },
        baseline: { type: 'string' },
        report: { type: 'string' },
        repetitions: { type: 'string' },
        words: { type: 'string', default: String(WORDS_DEFAULT) },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
