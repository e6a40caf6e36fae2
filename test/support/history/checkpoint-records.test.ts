import { expect, test } from 'vitest';
import { WriterHistory, type WriterRecord } from './checkpoint-records.ts';

const by = (writer: string, epoch: number, claim = writer): WriterRecord => ({
  writer,
  epoch,
  claim,
});

const violationsOf = (...records: WriterRecord[]): number => {
  const history = new WriterHistory();
  for (const record of records) history.note('3', record);
  expect(history.count).toBe(records.length);
  return history.violations.length;
};

test('a writer goes on until another one has a higher epoch', () => {
  expect(violationsOf(by('a', 1), by('a', 1), by('b', 2), by('b', 2), by('a', 3))).toBe(0);
});

test('a write of who was fenced is found', () => {
  expect(violationsOf(by('a', 1), by('b', 2), by('a', 1))).toBe(1);
});

test('one epoch of two writers is found, also of two processes under one name', () => {
  expect(violationsOf(by('a', 1), by('b', 1))).toBe(1);
  expect(violationsOf(by('a', 1, 'one'), by('a', 1, 'other'))).toBe(1);
});

test('partitions have epochs of their own', () => {
  const history = new WriterHistory();
  history.note('1', by('a', 5));
  history.note('2', by('b', 1));
  expect(history.violations).toEqual([]);
});
