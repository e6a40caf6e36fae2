import type { ErrorCode } from '@engram/model';

/** Why a line cannot become an observation. */
export interface Fault {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** One line of a file, without its end. */
export interface Line {
  /** From 1. */
  readonly number: number;
  /** The beginning only, when there is a fault. */
  readonly text: string;
  readonly fault?: Fault;
}

/** The largest embedding has 90 KB as text and metadata 16 KB; more than this is another file. */
const LINE_BYTES_MAX = 1 << 20;
const FAULTY_TEXT_MAX = 200;
const NEWLINE = 0x0a;

const utf8 = new TextDecoder('utf-8', { fatal: true });
const lossy = new TextDecoder('utf-8');

/**
 * Splits bytes into lines with a bound on their length, which `node:readline` does not have: a
 * file without line ends would come into memory whole. An overlong or undecodable line is given
 * with its fault, and the next one is read as usual.
 */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  lineBytesMax = LINE_BYTES_MAX,
): AsyncGenerator<Line, void> {
  let number = 0;
  let parts: Uint8Array[] = [];
  let bytes = 0;
  /** Keeps the part while the line is short enough; always counts it. */
  const take = (part: Uint8Array) => {
    if (bytes <= lineBytesMax) parts.push(part);
    bytes += part.length;
  };
  const finish = (): Line => {
    const line = lineOf(++number, parts, bytes, lineBytesMax);
    parts = [];
    bytes = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end; (end = chunk.indexOf(NEWLINE, start)) >= 0; start = end + 1) {
      take(chunk.subarray(start, end));
      yield finish();
    }
    if (start < chunk.length) take(chunk.subarray(start));
  }
  if (bytes > 0) yield finish();
}

function lineOf(number: number, parts: Uint8Array[], bytes: number, bytesMax: number): Line {
  const whole = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  const beginning = () => lossy.decode(whole.subarray(0, FAULTY_TEXT_MAX));
  if (bytes > bytesMax) {
    const detail = `the line has ${bytes} bytes, at most ${bytesMax} are allowed`;
    return { number, text: beginning(), fault: { code: 'OBSERVATION_TOO_LARGE', detail } };
  }
  try {
    const text = utf8.decode(whole);
    return { number, text: text.endsWith('\r') ? text.slice(0, -1) : text };
  } catch {
    const detail = 'the line is not UTF-8';
    return { number, text: beginning(), fault: { code: 'INVALID_UTF8', detail } };
  }
}
