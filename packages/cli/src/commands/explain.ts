import {
  CAUSES,
  ERRORS,
  explainError,
  isCause,
  isErrorCode,
  type CauseName,
  type Explanation,
  type Retry,
} from '@engram/model';
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
/** Of the characters of a word, so many may be wrong for another one to be near. */
const NEAR_SHARE = 1 / 3;
/** A session is closed with this and the HTTP status of the failure. */
const CLOSE_CODES_FROM = 4_000;

/** Those that WebSocket itself has. */
const PROTOCOL_CLOSES: Readonly<Record<number, string>> = {
  1001: 'the gateway stops; connect to another one and resume',
  1002: 'what was sent is not WebSocket',
  1007: 'what was sent is not UTF-8',
  1009: 'a message is too large',
};

const REPEAT: Record<Retry, string> = {
  never: 'no, it would be refused again',
  'same-owner': 'yes, after the time that Retry-After says',
  'after-reroute': 'yes, in a few seconds',
};

/** `engram explain [CODE]` */
export function explainCommand(): Command {
  return new Command('explain')
    .description('say what an error means and what to do about it')
    .argument(
      '[code]',
      'a code or a cause, as answers, dead letters and metrics have it; an HTTP status; a close code of a session; default: list all codes',
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ engram explain BACKPRESSURE
  $ engram explain share       the cause of a refusal
  $ engram explain 429         all codes of a status; a session is closed with 4429
  $ engram explain --json`,
    )
    .action(
      reporting((given: string | undefined, { json }: Options) => {
        const { value, text } = given === undefined ? listed(codes()) : told(given);
        if (json === true) printJson(value);
        else console.log(text);
        return Promise.resolve();
      }),
    );
}

interface Told {
  /** For `--json`. */
  readonly value: unknown;
  readonly text: string;
}

/** @throws UsageError that names what is near, if anything is */
function told(given: string): Told {
  if (/^\d+$/.test(given)) return ofStatus(Number(given));
  // LOG_FULL is a code, and log-full its cause: each is explained as it is written.
  if (isCause(given)) return ofCause(given);
  const code = given.toUpperCase().replaceAll('-', '_');
  const cause = given.toLowerCase();
  if (!isErrorCode(code) && isCause(cause)) return ofCause(cause);
  if (!isErrorCode(code)) throw unknown(given, code);
  const explained = explainError(code);
  return { value: explained, text: textOf(explained) };
}

function listed(some: readonly (keyof typeof ERRORS)[]): Told {
  const explained = some.map(explainError);
  return { value: explained, text: tableOf(explained) };
}

/** @throws UsageError */
function ofStatus(number: number): Told {
  const protocol = PROTOCOL_CLOSES[number];
  if (protocol !== undefined)
    return {
      value: { closeCode: number, title: protocol },
      text: `A session is closed with ${number}: ${protocol}.`,
    };
  const status = number > CLOSE_CODES_FROM ? number - CLOSE_CODES_FROM : number;
  const some = codes().filter((code) => ERRORS[code].status === status);
  if (some.length === 0)
    throw new UsageError(
      `no failure has the HTTP status or the close code ${number}. All: ${invocation()} explain`,
    );
  const { value, text } = listed(some);
  if (status === number) return { value, text };
  return {
    value,
    text: `A session is closed with ${number} for the HTTP status ${status}:\n${text}`,
  };
}

function ofCause(name: CauseName): Told {
  const { code, title, advice } = CAUSES[name];
  const { status, retry, retryable } = explainError(code);
  return {
    value: { cause: name, code, title, status, retry, retryable, advice },
    text: [
      `${colors.bold(name)}   ${title}`,
      `  cause of   ${code} (${status})`,
      `  what to do ${advice}`,
    ].join('\n'),
  };
}

function codes() {
  return Object.keys(ERRORS).filter(isErrorCode);
}

function unknown(given: string, code: string): UsageError {
  const nearest = [...codes(), ...Object.keys(CAUSES)]
    .map((name) => ({ name, rank: rank(code, name.toUpperCase().replaceAll('-', '_')) }))
    .filter(({ rank: wrong }) => wrong <= code.length * NEAR_SHARE)
    .toSorted((left, right) => left.rank - right.rank)
    .slice(0, NEAREST_SHOWN)
    .map(({ name }) => name);
  const near =
    nearest.length === 0
      ? ''
      : `; the nearest ${nearest.length === 1 ? 'is' : 'are'} ${nearest.join(', ')}`;
  return new UsageError(
    `there is no code or cause ${JSON.stringify(given.slice(0, 64))}${near}. All: ${invocation()} explain`,
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
