import { basename, relative } from 'node:path';
import { duration } from '@engram/diagnosis';
import { SetupError } from '@engram/local-cluster';
import { InvalidArgumentError } from 'commander';
import colors from 'picocolors';

/** Labels of a checklist; `gateway` is the longest. */
const LABEL_WIDTH = 7;

/** One line of a checklist: `✔ nats    nats://127.0.0.1:25123   0.1 s`. */
export function checkedLine(label: string, detail: string, ms?: number): string {
  const took = ms === undefined ? '' : `   ${colors.dim(duration(ms))}`;
  return `${colors.green('✔')} ${label.padEnd(LABEL_WIDTH)} ${detail}${took}`;
}

export function warningLine(text: string): string {
  return `${colors.yellow('⚠')} ${text}`;
}

export function failureLine(text: string): string {
  return colors.red(`✖ ${text}`);
}

/** What went wrong and what to do about it, for failures of this machine. */
export function explained(error: unknown): unknown {
  if (!(error instanceof SetupError) || error.hint === undefined) return error;
  return new Error(`${error.message}\n  ${error.hint}`, { cause: error });
}

/** How this program was called, so that what it suggests to type works here. */
export function invocation(): string {
  const script = process.argv[1];
  if (script === undefined || basename(script) === 'engram') return 'engram';
  const path = relative(process.cwd(), script);
  return `node ${path.startsWith('..') ? script : path}`;
}

/** For commander: a whole number in a range. */
export function integerIn(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isSafeInteger(value) && value >= min && value <= max)
      return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}
