import { ClusterError } from '@engram/model';
import { parse as locate, type ParseError } from 'jsonc-parser';
import secureJson from 'secure-json-parse';

/**
 * Parses JSON from bytes. Keys that would reach an object's prototype are refused.
 * @throws ClusterError INVALID_UTF8 or INVALID_JSON, with the byte where it broke
 */
export function parseJson(bytes: Uint8Array): unknown {
  return parseJsonText(decodeUtf8(bytes), undefined, hasByteOrderMark(bytes) ? 3 : 0);
}

/** The decoder takes the mark away, and offsets count from the first byte. */
function hasByteOrderMark(bytes: Uint8Array): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}

/** @throws ClusterError INVALID_UTF8 */
export function decodeUtf8(bytes: Uint8Array): string {
  const text = textOf(bytes);
  if (text !== undefined) return text;
  throw new ClusterError('INVALID_UTF8', 'the body is not UTF-8', {
    hint: 'send JSON as UTF-8, and embeddings as numbers or base64',
  });
}

/** Undefined for bytes that are no UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** @throws ClusterError INVALID_JSON */
export function parseJsonText(text: string, line?: number, bytesBefore = 0): unknown {
  try {
    return secureJson.parse(text, undefined, { protoAction: 'error', constructorAction: 'error' });
  } catch (cause) {
    const where = line === undefined ? '' : ` in line ${line}`;
    if (text.trim() === '')
      throw new ClusterError('INVALID_JSON', `empty where JSON is expected${where}`, { cause });
    const offset = faultOffset(text);
    if (offset === undefined)
      throw new ClusterError(
        'INVALID_JSON',
        `a key is not allowed${where}: __proto__ or constructor.prototype`,
        { cause },
      );
    const byte = bytesBefore + Buffer.byteLength(text.slice(0, offset));
    const problem = offset >= text.length ? 'unexpected end' : 'unexpected character';
    throw new ClusterError('INVALID_JSON', `not JSON${where}: ${problem} at byte ${byte}`, {
      cause,
      details: { byte, ...(line === undefined ? {} : { line }) },
    });
  }
}

/** V8's messages name a place only sometimes, and differently in each version; this one always does. */
function faultOffset(text: string): number | undefined {
  const faults: ParseError[] = [];
  try {
    locate(text, faults, { disallowComments: true, allowTrailingComma: false });
  } catch (cause) {
    if (cause instanceof RangeError) return 0; // nested deeper than the stack: no exact place
    throw cause;
  }
  return faults[0]?.offset;
}
