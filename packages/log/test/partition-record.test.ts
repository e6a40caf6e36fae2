import { expect, test } from 'vitest';
import { decodeRecord } from '../src/partition-record.ts';

const NAME = '5.2.0b0bd3a4-7f39-4b0e-9a3e-2f6c1c0a9d11';
const STORED = { name: NAME, bytes: 7, crc: 1, watermark: 30, writtenAtMs: 1.5 };
const RECORD = { epoch: 2, writer: 'shard-1', claim: 'x', trimmedTo: 20 };

test.each([
  RECORD,
  { ...RECORD, current: STORED },
  { ...RECORD, current: { ...STORED, logEnd: { sequence: 31, storedAtMs: 9 } }, previous: STORED },
])('%j is read as it was written', (record) => {
  expect(decodeRecord(JSON.stringify(record))).toEqual(record);
});

test.each([
  'not json',
  '',
  'null',
  '[]',
  '{}',
  '7',
  JSON.stringify({ epoch: 'x', trimmedTo: 'y', writer: 5 }),
  JSON.stringify({ ...RECORD, epoch: -1 }),
  JSON.stringify({ ...RECORD, epoch: 1.5 }),
  JSON.stringify({ ...RECORD, epoch: Number.MAX_SAFE_INTEGER }),
  JSON.stringify({ ...RECORD, trimmedTo: 1e300 }),
  JSON.stringify({ ...RECORD, trimmedTo: undefined }),
  JSON.stringify({ ...RECORD, claim: 1 }),
  JSON.stringify({ ...RECORD, current: null }),
  JSON.stringify({ ...RECORD, current: { ...STORED, name: '../../etc/passwd' } }),
  JSON.stringify({ ...RECORD, current: { ...STORED, name: `../${NAME}` } }),
  JSON.stringify({ ...RECORD, current: { ...STORED, watermark: '30' } }),
  JSON.stringify({ ...RECORD, previous: { ...STORED, crc: undefined } }),
  JSON.stringify({ ...RECORD, previous: { ...STORED, logEnd: 7 } }),
])('%s is no record', (text) => {
  expect(decodeRecord(text)).toBeUndefined();
});
