import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ApiKeys, mintApiKey } from '../src/api-key.ts';
import {
  allows,
  mergeGrants,
  parseGrant,
  parseGrants,
  SCOPES,
  WHOLE_CLUSTER,
} from '../src/grants.ts';

const name = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/);
const scope = fc.constantFrom(...SCOPES);

describe('scopes', () => {
  test('what no pattern gives is refused, whatever the names are', () => {
    fc.assert(
      fc.property(name, name, scope, scope, (granted, asked, given, wanted) => {
        const grants = parseGrants({ [granted]: [given] });
        const isGiven = granted === asked && (given === wanted || given === 'admin');
        expect(allows(grants, asked, wanted)).toBe(isGiven);
      }),
    );
  });

  test('a pattern with * gives the names that begin as it does, and no others', () => {
    fc.assert(
      fc.property(name, name, (prefix, rest) => {
        const grants = parseGrants({ [`${prefix}*`]: ['read'] });
        expect(allows(grants, prefix + rest, 'read')).toBe(true);
        expect(allows(grants, prefix + rest, 'write')).toBe(false);
        expect(allows(grants, rest, 'read')).toBe(rest.startsWith(prefix));
        expect(allows(grants, WHOLE_CLUSTER, 'read')).toBe(false);
      }),
    );
  });

  test('only * is the whole cluster, and patterns add up', () => {
    const all = parseGrants({ '*': ['read'], 'team-*': ['write'], 'team-a': ['admin'] });
    expect(allows(all, WHOLE_CLUSTER, 'read')).toBe(true);
    expect(allows(all, WHOLE_CLUSTER, 'admin')).toBe(false);
    expect(allows(all, 'team-b', 'write')).toBe(true);
    expect(allows(all, 'team-b', 'admin')).toBe(false);
    expect(allows(all, 'team-a', 'admin')).toBe(true);
  });

  test.each([
    null,
    [],
    {},
    { notes: [] },
    { notes: 'read' },
    { notes: ['rread'] },
    { 'a.b': ['read'] },
    { '**': ['read'] },
    { 'a*b': ['read'] },
    { '': ['read'] },
    { notes: [['read']] },
  ])('%j is no list of scopes', (value) => {
    expect(() => parseGrants(value)).toThrow(/scope|pattern/);
  });

  test('a scope is written as pattern:scope,…', () => {
    expect(parseGrant('team-*:read,write')).toEqual(['team-*', new Set(['read', 'write'])]);
    for (const wrong of ['notes', 'notes:', ':read', 'notes:read:write', 'notes:read,', 'a b:read'])
      expect(() => parseGrant(wrong)).toThrow(/scope|pattern/);
  });
});

describe('API keys', () => {
  const grants = parseGrants({ notes: ['read'] });

  test('a key is found by itself and by nothing that differs in one character', () => {
    const { key, record } = mintApiKey('reader', grants);
    const keys = ApiKeys.parse(JSON.stringify([record]));
    expect(keys.find(key)).toEqual({ id: 'reader', grants });
    expect(JSON.stringify(record)).not.toContain(key.slice(-43));
    fc.assert(
      fc.property(
        fc.nat(key.length - 1),
        fc.stringMatching(/^[A-Za-z0-9_ -]$/),
        (place, character) => {
          const other = key.slice(0, place) + character + key.slice(place + 1);
          fc.pre(other !== key);
          expect(keys.find(other)).toBeUndefined();
        },
      ),
    );
  });

  test('an id cannot be taken with the secret of another key', () => {
    const one = mintApiKey('one', grants);
    const two = mintApiKey('two', grants);
    const keys = ApiKeys.parse(JSON.stringify([one.record, two.record]));
    expect(keys.find(two.key.replace('_two_', '_one_'))).toBeUndefined();
    expect(keys.find(two.key.replace('_two_', '_three_'))).toBeUndefined();
  });

  test('every key differs, and its id stands in it as a token', () => {
    const minted = Array.from({ length: 50 }, () => mintApiKey('a-1', grants).key);
    expect(new Set(minted).size).toBe(50);
    expect(minted.every((key) => /^engram_a-1_[A-Za-z0-9_-]{43}$/.test(key))).toBe(true);
    for (const id of ['', 'a_b', 'a b', '../a', 'a'.repeat(41)])
      expect(() => mintApiKey(id, grants)).toThrow('an id has');
  });

  test('lists that are wrong are refused with their place, and without their text', () => {
    const { record } = mintApiKey('one', grants);
    const wrong = (...records: unknown[]) => ApiKeys.parse(JSON.stringify(records));
    expect(() => ApiKeys.parse('engram_secret')).toThrow(/^the API keys are not JSON$/);
    expect(() => ApiKeys.parse('{}')).toThrow('must be a JSON list');
    expect(() => wrong(record, record)).toThrow(
      'record 1 of the API keys: the id one stands twice',
    );
    expect(() => wrong({ ...record, hash: 'secret' })).toThrow(/hash must be sha256[^]*digits$/);
    expect(() => wrong({ ...record, hash: record.hash.toUpperCase() })).toThrow('hash must be');
    expect(() => wrong({ ...record, key: 'x' })).toThrow('the fields are id, hash and scopes');
    expect(() => wrong({ ...record, scopes: undefined })).toThrow('scopes must be an object');
    expect(() => wrong(null)).toThrow('it must be an object');
    expect(ApiKeys.parse('[]', JSON.stringify([record])).size).toBe(1);
  });
});

test('a pattern that is given twice has the scopes of both', () => {
  const words = ['notes:read', 'team-*:read', 'notes:write'];
  const merged = mergeGrants(words.map(parseGrant));
  expect(merged).toEqual(parseGrants({ notes: ['read', 'write'], 'team-*': ['read'] }));
});
