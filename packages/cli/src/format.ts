import { basename, relative } from 'node:path';
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

export function duration(ms: number): string {
  return ms < 100 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** `512 B`, `3.1 MiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** unit;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Of a refusal: `space notes`, `partition`. */
export function refusedText({ scope, name }: { readonly scope?: string; readonly name?: string }) {
  return [scope, name].filter(Boolean).join(' ');
}

/** `1 shard`, `2 shards`, `3 entries`. */
export function counted(count: number, noun: string): string {
  return `${count} ${count === 1 ? noun : plural(noun)}`;
}

function plural(noun: string): string {
  if (noun.endsWith('s')) return `${noun}es`;
  return /[^aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`;
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

/** Ascending whole numbers, short: `0-3, 7, 9-10`. */
export function numberRanges(numbers: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ');
}
