// What the commands that talk to a gateway have in common: where it is, how a failure reads and
// which exit code it has. Results go to standard output, everything else to standard error.

import { readFileSync } from 'node:fs';
import { ConnectionError, EngramClient, PartialFailure } from '@engram/client';
import { ClusterError } from '@engram/model';
import { InvalidArgumentError, Option } from 'commander';
import { failureLine, invocation } from './format.ts';
import { localUrl } from './local-url.ts';
import { printable } from './printable.ts';

export const EXIT = { ok: 0, failure: 1, usage: 2, partial: 3, denied: 4 } as const;

const DEFAULT_URL = 'http://127.0.0.1:7700';

/** Asked from a terminal, a cluster that is not there should be told at once. */
const INTERACTIVE_RETRIES = 2;

/** The command was called in a way that cannot work. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Which gateway a command asks, and as whom. */
export interface GatewayOptions {
  readonly url?: string | undefined;
  readonly apiKeyFile?: string | undefined;
}

export function apiKeyFileOption(): Option {
  return new Option(
    '--api-key-file <file>',
    'a file with an API key; default: the key in ENGRAM_API_KEY, if there is one',
  );
}

/**
 * Never from the command line itself, which every user of the machine can read.
 * @throws UsageError when the file cannot be read
 */
export function apiKeyOf({ apiKeyFile }: GatewayOptions): string | undefined {
  if (apiKeyFile === undefined) return process.env['ENGRAM_API_KEY']?.trim() || undefined;
  try {
    return readFileSync(apiKeyFile, 'utf8').trim();
  } catch (error) {
    throw new UsageError(`the API key cannot be read: ${(error as Error).message}`);
  }
}

export function urlOption(): Option {
  return new Option(
    '--url <url>',
    `a gateway; default: of the cluster that runs on .engram here, else ${DEFAULT_URL}`,
  ).env('ENGRAM_URL');
}

export function jsonOption(): Option {
  return new Option('--json', 'print the result as JSON');
}

/**
 * Without a URL, a client of the cluster of the current folder or of the usual port.
 * @throws UsageError when the text is no URL, or the key cannot be read
 */
export function clientFor(options: GatewayOptions, retries = INTERACTIVE_RETRIES): EngramClient {
  const url = urlFor(options.url);
  checkUrl(url);
  return new EngramClient({ url, retries, apiKey: apiKeyOf(options) });
}

/** The gateway that is meant where none is named. */
export function urlFor(url: string | undefined): string {
  return url ?? localUrl() ?? DEFAULT_URL;
}

/** @throws UsageError when the text is no URL of HTTP; `localhost:7700` would be one of `localhost:` */
export function checkUrl(url: string): void {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new UsageError(`${url} is not a URL, as ${DEFAULT_URL} is`);
}

export function printJson(value: unknown): void {
  console.log(jsonText(value, 2));
}

/** NDJSON: one object a line. */
export function printJsonLine(value: unknown): void {
  console.log(jsonText(value));
}

/** JSON escapes control characters, but for those that terminals of eight bits know. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, (_, each: unknown) => plain(each), indent).replace(
    /[\u007f-\u009f]/g,
    printable,
  );
}

function plain(value: unknown): unknown {
  return value instanceof Float32Array ? Array.from(value) : value;
}

export function printNote(text: string): void {
  console.error(text);
}

/** Wraps a command's action: a failure becomes a sentence and an exit code, never a stack. */
export function reporting<A extends readonly unknown[]>(
  action: (...args: A) => Promise<void>,
): (...args: A) => Promise<void> {
  return async (...args) => {
    try {
      await action(...args);
    } catch (error) {
      printNote(failureLine(sentence(error)));
      process.exitCode = exitCodeOf(error);
    }
  };
}

/** A gateway answered, and does not take the caller. */
export function isDenied(error: unknown): boolean {
  return (
    error instanceof ClusterError &&
    (error.code === 'UNAUTHENTICATED' || error.code === 'FORBIDDEN')
  );
}

/** Something answers there, and what it says is not what a gateway says. */
export function isNoGateway(error: unknown): error is ConnectionError {
  return error instanceof ConnectionError && error.fault === 'no-gateway';
}

/** What went wrong and what to do about it; much of it may be the words of a gateway. */
export function sentence(error: unknown): string {
  return printable(told(error));
}

/** Who speaks TLS to a port without it, or the other way round, is only shown that it closed. */
function schemeHint({ cause, urls }: ConnectionError): string | undefined {
  const { code } = Object(cause) as { readonly code?: unknown };
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return 'it speaks no TLS: its URL begins with http://';
  const isPlain = urls.every((url) => url.startsWith('http:'));
  if (code === 'UND_ERR_SOCKET' && isPlain)
    return 'it closed the connection: if it speaks TLS, its URL begins with https://';
  return undefined;
}

function told(error: unknown): string {
  if (error instanceof ConnectionError && error.fault === 'untrusted')
    return `${error.message}; name the CA that it is of: NODE_EXTRA_CA_CERTS=FILE`;
  if (isNoGateway(error)) return `${error.message}; name a gateway with --url`;
  if (error instanceof RangeError && error.message.includes('call stack'))
    return 'what answers is no gateway of Engram: its answer has no end of depth; name a gateway with --url';
  const scheme = error instanceof ConnectionError ? schemeHint(error) : undefined;
  if (error instanceof ConnectionError && scheme !== undefined)
    return `${error.message}; ${scheme}`;
  if (error instanceof ConnectionError)
    return `${error.message}; is the cluster up? Start one with: ${invocation()} up`;
  if (error instanceof ClusterError) {
    const advice = hintOf(error);
    const hint = advice === undefined ? '' : `; ${advice}`;
    const inner = error.cause instanceof PartialFailure ? error.cause : undefined;
    return `${inner?.message ?? error.message} (${error.code})${hint}`;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Gateways speak to who calls them by HTTP; here it is commands that help. */
function hintOf({ code, hint }: ClusterError): string | undefined {
  if (code === 'OBSERVATION_NOT_FOUND') return 'what was written a moment ago may be found soon';
  if (code === 'UNAUTHENTICATED')
    return 'give an API key with --api-key-file FILE or in ENGRAM_API_KEY';
  return hint?.replace(
    /PUT \/v1\/spaces\/(\S+) .*$/,
    `${invocation()} spaces create $1 --dimension N`,
  );
}

function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  return error instanceof PartialFailure ? EXIT.partial : EXIT.failure;
}

/** For commander: a list of numbers as JSON. */
export function vector(text: string): number[] {
  const value = json(text);
  if (Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'number'))
    return value;
  throw new InvalidArgumentError('It must be a list of numbers, as [0.1, 0.9].');
}

/** For commander: a JSON object. */
export function object(text: string): Record<string, unknown> {
  const value = json(text);
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new InvalidArgumentError('It must be a JSON object, as {"topic": "tea"}.');
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`It is not JSON: ${(error as SyntaxError).message}.`);
  }
}
