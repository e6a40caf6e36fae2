// `engram_<id>_<secret>`: the id finds the record, the secret is 256 random bits. Records hold the
// SHA-256 of the whole key. A slow hash such as scrypt protects passwords, which can be guessed; 2^256
// secrets cannot, and a slow hash in front of every request would be a way to stop the gateway.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { parseGrants, type Grants, type Scope } from './grants.ts';

/** What is kept of a key, as it stands in a file. */
export interface ApiKeyRecord {
  readonly id: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly hash: string;
  readonly scopes: Readonly<Record<string, readonly Scope[]>>;
}

const SECRET_BYTES = 32;
const ID = /^[A-Za-z0-9-]{1,40}$/;
/** No `_` in the id, so that the form has one reading; scanners for leaked secrets find the prefix. */
const KEY = /^engram_([A-Za-z0-9-]{1,40})_[A-Za-z0-9_-]{43}$/;
const HASH = /^sha256:([0-9a-f]{64})$/;
/** What an unknown id is compared with, so that the time of an answer does not tell ids apart. */
const NOBODY = Buffer.alloc(32);

/**
 * A new key, which is nowhere but in the result, and what to keep of it.
 * @throws Error when the id has other characters than A-Z a-z 0-9 -
 */
export function mintApiKey(
  id: string,
  grants: Grants,
): { readonly key: string; readonly record: ApiKeyRecord } {
  const key = `engram_${parseId(id)}_${randomBytes(SECRET_BYTES).toString('base64url')}`;
  const scopes = Object.fromEntries(Array.from(grants, ([pattern, each]) => [pattern, [...each]]));
  return { key, record: { id, hash: `sha256:${digest(key).toString('hex')}`, scopes } };
}

/** Whether a credential has the form of our keys; one that has not may be a token. */
export function isApiKey(credential: string): boolean {
  return KEY.test(credential);
}

interface KnownKey {
  readonly hash: Buffer;
  readonly grants: Grants;
}

/** The keys that are let in. */
export class ApiKeys {
  readonly #keys: ReadonlyMap<string, KnownKey>;

  private constructor(keys: ReadonlyMap<string, KnownKey>) {
    this.#keys = keys;
  }

  /**
   * Reads a JSON list of records.
   * @throws Error that names the record and what is wrong with it; it repeats no text of the list
   */
  static parse(...lists: readonly string[]): ApiKeys {
    const keys = new Map<string, KnownKey>();
    for (const list of lists)
      for (const [place, record] of parseList(list).entries()) {
        try {
          const { id, hash, grants } = parseRecord(record);
          if (keys.has(id)) throw new Error(`the id ${id} stands twice`);
          keys.set(id, { hash, grants });
        } catch (cause) {
          throw new Error(`record ${place} of the API keys: ${(cause as Error).message}`, {
            cause,
          });
        }
      }
    return new ApiKeys(keys);
  }

  get size(): number {
    return this.#keys.size;
  }

  /** Whose key it is; undefined when it is nobody's. Takes the same time for every wrong key. */
  find(credential: string): { readonly id: string; readonly grants: Grants } | undefined {
    const id = KEY.exec(credential)?.[1];
    if (id === undefined) return undefined;
    const known = this.#keys.get(id);
    const isRight = timingSafeEqual(digest(credential), known?.hash ?? NOBODY);
    return known !== undefined && isRight ? { id, grants: known.grants } : undefined;
  }
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function parseList(text: string): readonly unknown[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    // The parser's message would repeat a part of the text.
    throw new Error('the API keys are not JSON');
  }
  if (!Array.isArray(list)) throw new Error('the API keys must be a JSON list of records');
  return list as readonly unknown[];
}

function parseRecord(value: unknown): KnownKey & { readonly id: string } {
  if (typeof value !== 'object' || value === null) throw new Error('it must be an object');
  const { id, hash, scopes, ...others } = value as Readonly<Record<string, unknown>>;
  const [other] = Object.keys(others);
  if (other !== undefined) throw new Error('the fields are id, hash and scopes');
  const hex = typeof hash === 'string' ? HASH.exec(hash)?.[1] : undefined;
  if (hex === undefined) throw new Error('hash must be sha256: and 64 hexadecimal digits');
  return { id: parseId(id), hash: Buffer.from(hex, 'hex'), grants: parseGrants(scopes) };
}

function parseId(id: unknown): string {
  if (typeof id === 'string' && ID.test(id)) return id;
  throw new Error('an id has 1 to 40 of A-Z a-z 0-9 -');
}
