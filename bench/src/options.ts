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
  readonly isHelp: boolean;
}

export const WORDS_DEFAULT = 20_000;
const WORDS_MIN = 500;
const WORDS_MAX = 200_000;
const REPETITIONS = 3;

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
  return {
    names: positionals,
    isQuick: values.quick,
    words,
    repetitions: values.quick ? 1 : REPETITIONS,
    json: values.json === undefined ? undefined : resolve(values.json),
    isHelp: values.help,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        words: { type: 'string', default: String(WORDS_DEFAULT) },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
