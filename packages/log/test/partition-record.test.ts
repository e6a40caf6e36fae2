import type { PartitionId } from '@engram/model';
import { expect, test } from 'vitest';
import { decodeRecord, nextEpoch } from '../src/partition-record.ts';

const P = 5 as PartitionId;
const NAME = '5.2.0b0bd3a4-7f39-4b0e-9a3e-2f6c1c0a9d11';
const STORED = { name: NAME, bytes: 7, crc: 1, watermark: 30, writtenAtMs: 1.5 };
const RECORD = { epoch: 2, writer: 'shard-1', claim: 'x', trimmedTo: 20 };

test.each([
  { ...RECORD, trimmedTo: 0 },
  { ...RECORD, current: STORED },
  { ...RECORD, epoch: Number.MAX_SAFE_INTEGER, current: STORED },
  { ...RECORD, current: { ...STORED, logEnd: { sequence: 31, storedAtMs: 9 } }, previous: STORED },
])('%j is read as it was written', (record) => {
  expect(decodeRecord(P, JSON.stringify(record), 0)).toEqual(record);
});

test('entries may be gone as far as was told anywhere', () => {
  const text = JSON.stringify({ ...RECORD, current: STORED });
  expect([10, 20, 25].map((upTo) => decodeRecord(P, text, upTo)?.trimmedTo)).toEqual([20, 20, 25]);
});

test('symptom: a record without what was removed made a trimmed log look whole', () => {
  const empty = JSON.stringify({ ...RECORD, trimmedTo: 0 });
  expect([0, 1].map((upTo) => decodeRecord(P, empty, upTo)?.trimmedTo)).toEqual([0, undefined]);
  const old = JSON.stringify({ ...RECORD, current: STORED });
  expect([30, 31].map((upTo) => decodeRecord(P, old, upTo)?.trimmedTo)).toEqual([30, undefined]);
});

test('a record that names checkpoints of another partition is none', () => {
  const record = { ...RECORD, current: STORED };
  const others = { ...STORED, name: NAME.replace('5.', '55.') };
  for (const each of [
    { ...record, current: others },
    { ...record, previous: others },
  ])
    expect(decodeRecord(P, JSON.stringify(each), 0)).toBeUndefined();
  for (const partition of [4, 55])
    expect(decodeRecord(partition as PartitionId, JSON.stringify(record), 0)).toBeUndefined();
});

test('an epoch grows, but never to what is no number any more', () => {
  expect(nextEpoch(7)).toBe(8);
  const highest = nextEpoch(Number.MAX_SAFE_INTEGER);
  expect(
    decodeRecord(P, JSON.stringify({ ...RECORD, trimmedTo: 0, epoch: highest }), 0),
  ).toBeDefined();
});

test.each([
  'not json',
  '',
  'null',
  '[]',
  '{}',
  '7',
  JSON.stringify({ epoch: 'x', trimmedTo: 'y', writer: 5 }),
  JSON.stringify({ ...RECORD, current: STORED, epoch: -1 }),
  JSON.stringify({ ...RECORD, current: STORED, epoch: 1.5 }),
  JSON.stringify({ ...RECORD, current: STORED, epoch: 1e300 }),
  JSON.stringify({ ...RECORD, current: STORED, trimmedTo: 9e15 }),
  JSON.stringify({ ...RECORD, current: STORED, trimmedTo: 1e300 }),
  JSON.stringify({ ...RECORD, current: STORED, trimmedTo: undefined }),
  JSON.stringify({ ...RECORD, current: STORED, claim: 1 }),
  JSON.stringify({ ...RECORD, current: null }),
  JSON.stringify({ ...RECORD, trimmedTo: 0, current: { ...STORED, name: '../../etc/passwd' } }),
  JSON.stringify({ ...RECORD, trimmedTo: 0, current: { ...STORED, name: `../${NAME}` } }),
  JSON.stringify({ ...RECORD, trimmedTo: 0, current: { ...STORED, watermark: '30' } }),
  JSON.stringify({ ...RECORD, current: STORED, previous: { ...STORED, crc: undefined } }),
  JSON.stringify({ ...RECORD, current: STORED, previous: { ...STORED, logEnd: 7 } }),
])('%s is no record', (text) => {
  expect(decodeRecord(P, text, 0)).toBeUndefined();
});
