import type { PartitionId } from '@engram/model';
import { ClusterError } from '@engram/model';
import { expect, test } from 'vitest';
import { StorageHealth } from '../src/checkpoints/storage-health.ts';

const [P, Q] = [1, 2] as PartitionId[] as [PartitionId, PartitionId];
const FULL = 'a segment cannot be written: ENOSPC: no space left on device, write';

function healthAt(): { health: StorageHealth; pass: (ms: number) => void } {
  let nowMs = 1_000;
  const health = new StorageHealth({ now: () => nowMs });
  return { health, pass: (ms) => void (nowMs += ms) };
}

test('a full disk is told at once, and until it has not been full for some seconds', () => {
  const { health, pass } = healthAt();
  expect(health.fault).toBeUndefined();
  health.fileFault(FULL);
  expect(health.fault).toEqual({ message: FULL, forMs: 0 });
  pass(8_000);
  health.fileFault(FULL);
  pass(8_000);
  expect(health.fault).toEqual({ message: FULL, forMs: 16_000 });
  pass(2_000);
  expect(health.fault).toBeUndefined();
});

test('a damaged file is the matter of the shard, which reads it anew', () => {
  const { health } = healthAt();
  health.fileFault('segment 7 has a wrong checksum');
  expect(health.fault).toBeUndefined();
});

test('checkpoints that are not stored are told once that lasts, with the cause, until one is', () => {
  const { health, pass } = healthAt();
  const away = new ClusterError('LOG_UNAVAILABLE', 'not stored', { cause: new Error('timeout') });
  health.failed(P, away);
  pass(5_000);
  health.failed(Q, away);
  expect(health.fault).toBeUndefined();
  pass(5_000);
  health.failed(P, away);
  expect(health.fault).toEqual({ message: 'not stored: timeout', forMs: 10_000 });
  health.settled(P);
  expect(health.fault).toBeUndefined();
  pass(5_000);
  expect(health.fault).toMatchObject({ forMs: 10_000 });
});

test('one that fails of a full disk is told at once', () => {
  const { health } = healthAt();
  health.failed(P, new Error(FULL));
  expect(health.fault).toMatchObject({ message: `unexpected failure: ${FULL}` });
});

test('a checkpoint that is stored ends it: it went through the disk', () => {
  const { health } = healthAt();
  health.fileFault(FULL);
  health.failed(P, new Error(FULL));
  health.stored(P);
  expect(health.fault).toBeUndefined();
});

test('one that is not tried again is over by itself', () => {
  const { health, pass } = healthAt();
  health.failed(P, new Error(FULL));
  pass(29_000);
  expect(health.fault).toMatchObject({ forMs: 29_000 });
  pass(1_000);
  expect(health.fault).toBeUndefined();
  health.failed(P, new Error(FULL));
  expect(health.fault).toMatchObject({ forMs: 0 });
});
