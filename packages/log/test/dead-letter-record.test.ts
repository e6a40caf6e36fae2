import { ClusterError } from '@engram/model';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDeadLetterId, readDeadLetter, SETTLED_HEADER } from '../src/dead-letter-record.ts';

const TIME = new Date('2026-01-02T03:04:05.678Z');

function read(subject: string, headers: Readonly<Record<string, string>>) {
  return readDeadLetter(subject, { get: (name) => headers[name] ?? '' }, 12, TIME);
}

test('an id names a place in the log, and every place has one id', () => {
  fc.assert(
    fc.property(fc.nat(9_999), fc.integer({ min: 1, max: 2 ** 53 - 1 }), (stripe, sequence) => {
      expect(parseDeadLetterId(`${stripe}-${sequence}`)).toEqual({ stripe, sequence });
    }),
  );
});

test('whatever else is given as an id is refused', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[-0-9.*> e]{0,20}$/));
  fc.assert(
    fc.property(fc.oneof(text, fc.anything()), (id) => {
      fc.pre(!(typeof id === 'string' && /^(0|[1-9]\d{0,3})-[1-9]\d{0,15}$/.test(id)));
      expect(() => parseDeadLetterId(id)).toThrow(ClusterError);
    }),
  );
  for (const id of ['00-1', '0-0', '0-01', '0-9007199254740992', '12345-1', '0-1\n', ['0-1']])
    expect(() => parseDeadLetterId(id), String(id)).toThrow('<stripe>-<sequence>');
});

test('a dead letter says where its entry stood and what was wrong with it', () => {
  const letter = read('dlq.2.1234', {
    'Engram-Reason': 'DIMENSION_MISMATCH',
    'Engram-Detail': 'too short',
    'Engram-Subject': 'obs.7.low.docs',
    'Engram-Errors': '[[0,"DIMENSION_MISMATCH"],[3,"DUPLICATE_ID"]]',
    'Engram-Error-Count': '2',
    'Content-Type': 'application/json',
  });
  expect(letter).toEqual({
    id: '2-1234',
    stripe: 2,
    sequence: 1234,
    reason: 'DIMENSION_MISMATCH',
    detail: 'too short',
    subject: 'obs.7.low.docs',
    partition: 7,
    lane: 'low',
    space: 'docs',
    contentType: 'application/json',
    bytes: 12,
    errors: [
      { index: 0, code: 'DIMENSION_MISMATCH' },
      { index: 3, code: 'DUPLICATE_ID' },
    ],
    errorCount: 2,
    writtenAt: '2026-01-02T03:04:05.678Z',
  });
});

test('a list of errors that was cut in its middle is read up to there', () => {
  const headers = { 'Engram-Errors': '[[0,"INVALID_ID"],[1,"INVALID_ID"],[2,"INVA' };
  expect(read('dlq.0.1', headers)?.errors.map(({ index }) => index)).toEqual([0, 1]);
});

test('what is done with is no dead letter, nor is what stands under another subject', () => {
  expect(read('dlq.0.1', {})?.id).toBe('0-1');
  expect(read('dlq.0.1', { [SETTLED_HEADER]: 'purged' })).toBeUndefined();
  for (const subject of ['dlq.0', 'dlq.a.1', 'dlq.0.1.2', 'obs.0.low.docs'])
    expect(read(subject, {})).toBeUndefined();
});

test('a subject that no publisher of the log has leaves its parts out', () => {
  const letter = read('dlq.0.1', { 'Engram-Subject': 'some.where.else' });
  expect(letter).toMatchObject({ subject: 'some.where.else' });
  expect(letter).not.toHaveProperty('space');
  expect(letter).not.toHaveProperty('cutTo');
});
