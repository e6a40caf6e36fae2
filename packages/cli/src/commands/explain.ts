import { ERRORS, explainError, isErrorCode, type Explanation, type Retry } from '@engram/model';
import Table from 'cli-table3';
import { Command } from 'commander';
import { distance } from 'fastest-levenshtein';
import colors from 'picocolors';
import { invocation } from '../format.ts';
import { jsonOption, printJson, reporting, UsageError } from '../output.ts';

interface Options {
  readonly json?: boolean;
}

const NEAREST_SHOWN = 3;

const REPEAT: Record<Retry, string> = {
  never: 'no, it would be refused again',
  'same-owner': 'yes, after the time that Retry-After says',
  'after-reroute': 'yes, in a few seconds',
};

/** `engram explain [CODE]` */
export function explainCommand(): Command {
  return new Command('explain')
    .description('say what an error code means and what to do about it')
    .argument('[code]', 'as answers, dead letters and metrics have it; default: list all')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ engram explain BACKPRESSURE
  $ engram explain --json`,
    )
    .action(
      reporting((given: string | undefined, { json }: Options) => {
        if (given === undefined) {
          const all = codes().map(explainError);
          if (json === true) printJson(all);
          else console.log(tableOf(all));
          return Promise.resolve();
        }
        const explained = explainError(codeOf(given));
        if (json === true) printJson(explained);
        else console.log(textOf(explained));
        return Promise.resolve();
      }),
    );
}

function codes() {
  return Object.keys(ERRORS).filter(isErrorCode);
}

/** @throws UsageError that names the nearest codes */
function codeOf(given: string) {
  const code = given.toUpperCase().replaceAll('-', '_');
  if (isErrorCode(code)) return code;
  const nearest = codes()
    .toSorted((left, right) => rank(code, left) - rank(code, right))
    .slice(0, NEAREST_SHOWN);
  const list = `${invocation()} explain`;
  throw new UsageError(
    `there is no code ${JSON.stringify(given.slice(0, 64))}; the nearest are ${nearest.join(', ')}. All: ${list}`,
  );
}

/** A part of a code is near to it, however long the rest is. */
function rank(given: string, code: string): number {
  return given.length >= 4 && code.includes(given) ? 0 : distance(given, code);
}

function textOf({ code, title, status, retry, advice }: Explanation): string {
  return [
    `${colors.bold(code)}   ${title}`,
    `  over HTTP  ${status}`,
    `  repeat it  ${REPEAT[retry]}`,
    `  what to do ${advice}`,
  ].join('\n');
}

function tableOf(all: readonly Explanation[]): string {
  const table = new Table({
    head: ['code', 'HTTP', 'repeat', 'what happened'],
    style: { head: [], border: [], compact: true },
  });
  for (const { code, status, retryable, title } of all)
    table.push([code, status, retryable ? 'yes' : 'no', title]);
  return table.toString();
}
