import type { PartitionRecord, Registered, Unreadable } from '@engram/log';
import type { MemberId, PartitionId } from '@engram/model';
import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { describe, expect, test } from 'vitest';
import { PartitionRecords } from '../src/checkpoints/partition-records.ts';
import type { FoundCheckpoint } from '@engram/storage';

const P = 1 as PartitionId;

function checkpoint(
  name: string,
  epoch: number,
  watermark: number,
  named: readonly string[] = [],
): FoundCheckpoint {
  const partition = Number(name.split('.')[0]) as PartitionId;
  const blobs = Object.fromEntries(named.map((blob) => [blob, { bytes: 1, crc: 1 }]));
  const head = { partition, epoch, watermark, writtenAtMs: watermark, spaces: [], blobs };
  return { ref: { name, watermark, bytes: 1, crc: 1 }, head };
}

class World {
  found: Registered | Unreadable | undefined;
  readonly written: { record: PartitionRecord; before: number | undefined }[] = [];
  readonly records: PartitionRecords;

  constructor(checkpoints: readonly FoundCheckpoint[] = [], segments: readonly string[] = []) {
    this.records = new PartitionRecords({
      self: 'me' as MemberId,
      register: {
        find: () => Promise.resolve(this.found),
        write: (_, record, before) => {
          this.written.push({ record, before: before?.revision });
          this.found = { record, revision: (before?.revision ?? 0) + 1 };
          return Promise.resolve(this.found);
        },
      },
      transfers: {
        names: () => Promise.resolve([...checkpoints.map(({ ref }) => ref.name), ...segments]),
        find: (name) => Promise.resolve(checkpoints.find(({ ref }) => ref.name === name)),
      },
      clock: systemClock,
      logger: createLogger('shard', 'test', 'silent'),
    });
  }
}

const CHECKPOINTS = [
  checkpoint('1.4.b', 4, 20),
  checkpoint('1.4.c', 4, 30),
  checkpoint('1.3.a', 3, 25),
  checkpoint('11.9.z', 9, 99),
];

test('a partition of which nothing was stored has no record', async () => {
  const world = new World([checkpoint('11.9.z', 9, 99)]);
  expect(await world.records.read(P)).toBeUndefined();
  expect(world.written).toEqual([]);
});

test('a sound record is as it is, whatever else is stored', async () => {
  const world = new World(CHECKPOINTS);
  const record = { epoch: 1, writer: 'x' as MemberId, claim: 'y', trimmedTo: 0 };
  world.found = { record, revision: 3 };
  expect(await world.records.read(P)).toEqual(world.found);
  expect(world.written).toEqual([]);
});

test.each([
  ['lost', undefined],
  ['unreadable', { record: undefined, revision: 8, removedTo: 0 }],
] as const)('a record that is %s is made again from the last two checkpoints', async (_, found) => {
  const world = new World(CHECKPOINTS, ['1.4.segment']);
  world.found = found;
  const { record } = (await world.records.read(P))!;
  expect(record).toMatchObject({
    epoch: 5,
    writer: 'me',
    trimmedTo: 20,
    current: { name: '1.4.c', watermark: 30 },
    previous: { name: '1.4.b', watermark: 20 },
  });
  expect(world.written.map(({ before }) => before)).toEqual([found?.revision]);
  expect((await world.records.read(P))!.record).toEqual(record);
  expect(world.written).toHaveLength(1);
});

test('with one checkpoint the log may be gone up to that', async () => {
  const world = new World([CHECKPOINTS[0]!]);
  const { record } = (await world.records.read(P))!;
  expect([record.trimmedTo, record.previous]).toEqual([20, undefined]);
});

test('an unreadable record without a checkpoint is an error: nobody knows what there was', async () => {
  const world = new World();
  world.found = { record: undefined, revision: 8, removedTo: 0 };
  await expect(world.records.read(P)).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' });
  expect(world.written).toEqual([]);
});

test('what was removed from the log is told apart: only checkpoints that have it will do', async () => {
  const world = new World(CHECKPOINTS);
  world.found = { record: undefined, revision: undefined, removedTo: 22 };
  const { record } = (await world.records.read(P))!;
  expect([record.current?.watermark, record.previous?.watermark, record.trimmedTo]).toEqual([
    30, 25, 22,
  ]);
});

test('symptom: a record that was lost with all checkpoints made a trimmed log look whole', async () => {
  const world = new World([CHECKPOINTS[0]!]);
  world.found = { record: undefined, revision: undefined, removedTo: 22 };
  await expect(world.records.read(P)).rejects.toMatchObject({
    code: 'CHECKPOINT_DAMAGED',
    details: { removedTo: 22 },
  });
  expect(world.written).toEqual([]);
});

describe('a record of which no checkpoint is of use', () => {
  const record = { epoch: 9, writer: 'x' as MemberId, claim: 'y', trimmedTo: 22 };
  const old = { record, revision: 3 };

  test('is made again from others that are whole and have what was removed', async () => {
    const incomplete = checkpoint('1.5.d', 5, 40, ['1.5.gone']);
    const whole = checkpoint('1.5.e', 5, 35, ['1.4.segment']);
    const world = new World([...CHECKPOINTS, incomplete, whole], ['1.4.segment']);
    world.found = old;
    const made = await world.records.remake(P, old, new Set(['1.4.c']));
    expect(made?.record).toMatchObject({
      epoch: 10,
      writer: 'me',
      trimmedTo: 22,
      current: { name: '1.5.e', watermark: 35 },
      previous: { name: '1.3.a', watermark: 25 },
    });
    expect(world.written.map(({ before }) => before)).toEqual([3]);
  });

  test('stays where there are none', async () => {
    const world = new World(CHECKPOINTS);
    const tried = new Set(['1.4.c', '1.3.a']);
    expect(await world.records.remake(P, old, tried)).toBeUndefined();
    expect(world.written).toEqual([]);
  });
});
