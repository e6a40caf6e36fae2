import type { PartitionRecord, Registered } from '@engram/log';
import { ClusterError, type MemberId, type PartitionId, type SpaceId } from '@engram/model';
import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import type { BlobMark, CheckpointRef, NewCheckpoint, WrittenSection } from '@engram/storage';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../../../test/support/until.ts';
import { Checkpointer } from '../src/checkpoints/checkpointer.ts';
import { StorageHealth } from '../src/checkpoints/storage-health.ts';
import { shardMetrics } from '../src/metrics.ts';

const P = 3 as PartitionId;

/** What all shards share: the register, the blobs and the log. */
class Cluster {
  record: Registered | undefined;
  readonly blobs = new Map<string, Readonly<Record<string, BlobMark>>>();
  trimmedTo = 0;
  bytes = 0;
  nowMs = 1_000_000;

  onRead: (() => void) | undefined;

  read(): Promise<Registered | undefined> {
    this.onRead?.();
    return Promise.resolve(this.record);
  }

  write(
    record: PartitionRecord,
    before: Pick<Registered, 'revision'> | undefined,
  ): Promise<Registered> {
    if (this.record?.revision !== before?.revision)
      return Promise.reject(new ClusterError('FENCED', 'somebody else'));
    this.record = { record, revision: (before?.revision ?? 0) + 1 };
    return Promise.resolve(this.record);
  }
}

/** One shard's checkpointer, with spaces of which each has one blob. */
class Shard {
  readonly checkpointer: Checkpointer;
  readonly overtaken: PartitionId[] = [];
  readonly damaged = new Set<string>();
  isWriter = true;
  isLogSure = true;
  isSettled = true;
  failsNext = false;
  /** Up to where the engine was told that all is applied. */
  readonly taken: number[] = [];
  onSave: (() => void) | undefined;
  readonly storage = new StorageHealth(systemClock);
  isChanged = true;
  spaces: readonly string[] = ['a', 'b'];
  /** Blobs that were stored, not those that were known. */
  saved = 0;
  /** How often it was asked whether the log is sure: before each partition is looked at. */
  looks = 0;
  #blobs = 0;
  #aheadMs = 0;

  constructor(cluster: Cluster, self: string) {
    const sections = (prefix: string): WrittenSection[] =>
      this.spaces.map((space) => ({
        space: space as SpaceId,
        afterSequence: 0,
        path: '',
        bytes: 1,
        blobs: [`${prefix}${space}`],
      }));
    let last: WrittenSection[] = [];
    this.checkpointer = new Checkpointer({
      self: self as MemberId,
      register: {
        read: () => cluster.read(),
        write: (_, record, before) => cluster.write(record, before),
      },
      transfers: {
        save: ({ name, head: { watermark }, sections: given, known }: NewCheckpoint) => {
          if (this.failsNext) {
            this.failsNext = false;
            return Promise.reject(new ClusterError('LOG_UNAVAILABLE', 'away'));
          }
          this.onSave?.();
          const names = given.flatMap(({ blobs }) => blobs);
          const unknown = names.filter((blob) => known[blob] === undefined);
          this.saved += unknown.length;
          const blobs = Object.fromEntries(names.map((blob) => [blob, { bytes: 1, crc: 1 }]));
          for (const blob of unknown) cluster.blobs.set(blob, {});
          cluster.blobs.set(name, blobs);
          return Promise.resolve({ ref: { name, watermark, bytes: 1, crc: 1 }, blobs });
        },
        head: (_: PartitionId, { name }: CheckpointRef) =>
          Promise.resolve({
            partition: P,
            epoch: 0,
            watermark: 0,
            writtenAtMs: 0,
            spaces: [],
            blobs: cluster.blobs.get(name)!,
          }),
        remove: (names: readonly string[]) => {
          for (const name of names) cluster.blobs.delete(name);
          return Promise.resolve();
        },
        names: () => Promise.resolve([...cluster.blobs.keys()]),
        lost: (names) => Promise.resolve(names.filter((name) => !cluster.blobs.has(name))),
        sweepCache: () => Promise.resolve(0),
      },
      restorer: { isUseless: (name) => this.damaged.has(name) },
      engine: {
        checkpoints: {
          take: (_, upTo) => {
            this.taken.push(upTo);
            const { isChanged } = this;
            if (isChanged) last = sections(`${P}.${self}${this.#blobs++}.`);
            return Promise.resolve({ sections: last, isChanged });
          },
        },
      },
      isWriter: () => this.isWriter,
      isSettled: () => this.isSettled,
      logState: () =>
        Promise.resolve({
          firstSequence: 1,
          lastSequence: 0,
          lastStoredAtMs: 0,
          bytes: cluster.bytes,
          bytesMax: 100,
        }),
      isLogSure: () => {
        this.looks++;
        return this.isLogSure;
      },
      held: () => [P],
      onOvertaken: (partition) => this.overtaken.push(partition),
      trim: (_, upTo) => {
        // Told before it is done.
        expect(cluster.record?.record.trimmedTo).toBe(upTo);
        cluster.trimmedTo = upTo;
        return Promise.resolve();
      },
      intervalMs: 1_000_000,
      intervalBytes: 1_000_000,
      keepMs: 1_000,
      storage: this.storage,
      metrics: shardMetrics('test'),
      clock: {
        ...systemClock,
        now: () => systemClock.now() + this.#aheadMs,
        wallNow: () => cluster.nowMs,
      },
      logger: createLogger('shard', 'test', 'silent'),
    });
    open.push(this.checkpointer);
  }

  /** As long after the last look at the blobs as the next one is due. */
  sweepNow(): void {
    this.#aheadMs += 3_600_000;
  }

  /** The partition is looked at once more, and that is over. */
  async round(): Promise<void> {
    const before = this.looks;
    await until('it is looked again', () => this.looks > before + 1);
  }

  /** Everything up to a sequence is applied, and written. */
  async write(sequence: number): Promise<void> {
    this.checkpointer.applied(P, sequence, 10);
    this.checkpointer.complete(new Map([[P, sequence]]));
    await this.checkpointer.flush(10_000);
  }
}

const open: Checkpointer[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

function shard(cluster: Cluster, self = 'one'): Shard {
  const made = new Shard(cluster, self);
  made.checkpointer.restored(P, 0);
  return made;
}

describe('a checkpointer', () => {
  test('keeps the last two checkpoints and the blobs that they name (W3)', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    for (const sequence of [10, 20, 30]) await one.write(sequence);
    const { current, previous, epoch } = cluster.record!.record;
    expect([current?.watermark, previous?.watermark, epoch]).toEqual([30, 20, 1]);
    const named = [current!.name, previous!.name];
    for (const name of [...named]) named.push(...Object.keys(cluster.blobs.get(name)!));
    expect([...cluster.blobs.keys()].sort()).toEqual(named.sort());
  });

  test('is due when enough has come that it would have, and forgets nothing of what it has not', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    const stored = () => cluster.record?.record.current?.watermark ?? 0;
    const complete = (sequence: number) => one.checkpointer.complete(new Map([[P, sequence]]));
    for (const sequence of [10, 11]) one.checkpointer.applied(P, sequence, 900_000);
    complete(10);
    await one.round();
    expect(stored()).toBe(0);
    complete(11);
    await until('enough has come', () => stored() === 11);
    for (const sequence of [20, 21]) one.checkpointer.applied(P, sequence, 1_000_000);
    complete(20);
    await until('one of them is enough', () => stored() === 20);
    await one.round();
    expect(stored()).toBe(20);
    complete(21);
    await until('the other one too', () => stored() === 21);
    expect(one.checkpointer.oldestMs).toBe(0);
  });

  test('trims only what the checkpoint before the last has, when it is old (W2)', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    await one.write(10);
    cluster.nowMs += 5_000;
    await one.write(20);
    expect(cluster.trimmedTo).toBe(10);
    await one.write(30);
    expect(cluster.trimmedTo).toBe(10);
    cluster.nowMs += 5_000;
    one.isChanged = false;
    one.checkpointer.complete(new Map([[P, 31]]));
    await one.checkpointer.flush(10_000);
    expect([cluster.trimmedTo, cluster.record!.record.current?.watermark]).toEqual([20, 30]);
  });

  test('trims at once when the log is half full', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    await one.write(10);
    cluster.bytes = 60;
    await one.write(20);
    expect(cluster.trimmedTo).toBe(10);
  });

  test('trims again what a killed nats-server may have brought back', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    await one.write(10);
    cluster.bytes = 60;
    await one.write(20);
    cluster.trimmedTo = 0;
    one.isChanged = false;
    one.checkpointer.complete(new Map([[P, 20]]));
    await one.checkpointer.flush(10_000);
    expect(cluster.trimmedTo).toBe(0);
    one.checkpointer.trimAgain();
    await one.checkpointer.flush(10_000);
    expect(cluster.trimmedTo).toBe(10);
  });

  test('does not trim while another shard is taking the partition over', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    cluster.bytes = 60;
    one.isSettled = false;
    for (const sequence of [10, 20, 30]) await one.write(sequence);
    expect([cluster.trimmedTo, cluster.record?.record.trimmedTo]).toEqual([0, 0]);
    one.isSettled = true;
    await one.write(40);
    expect(cluster.trimmedTo).toBe(30);
  });

  test('W4: a replay that the trimming overtook is not whole', async () => {
    const cluster = new Cluster();
    const [one, other] = [shard(cluster, 'one'), shard(cluster, 'other')];
    cluster.bytes = 60;
    await one.write(10);
    expect(await other.checkpointer.confirm(P, 10)).toBe(true);
    for (const sequence of [20, 30]) await one.write(sequence);
    expect(await other.checkpointer.confirm(P, 30)).toBe(false);
    other.checkpointer.restored(P, 30);
    expect(await other.checkpointer.confirm(P, 31)).toBe(true);
  });

  test('W1: one that was paused is fenced, and its write changes nothing', async () => {
    const cluster = new Cluster();
    const [one, other] = [shard(cluster, 'one'), shard(cluster, 'other')];
    await one.write(10);
    await other.write(12);
    const taken = cluster.record;
    expect(taken?.record).toMatchObject({ writer: 'other', epoch: 2, current: { watermark: 12 } });
    await one.write(11);
    expect(cluster.record).toBe(taken);
    // Nor does it take the partition back while the other may still be the writer.
    await one.write(13);
    expect(cluster.record).toBe(taken);
    await other.write(14);
    expect(cluster.record?.record.current?.watermark).toBe(14);
  });

  test('W4: one that lacks entries which were trimmed writes nothing, and is restored', async () => {
    const cluster = new Cluster();
    const [one, other] = [shard(cluster, 'one'), shard(cluster, 'other')];
    cluster.bytes = 60;
    for (const sequence of [10, 20, 30]) await one.write(sequence);
    expect(cluster.trimmedTo).toBe(20);
    const before = cluster.record;
    await other.write(31);
    expect([cluster.record, other.overtaken]).toEqual([before, [P]]);
    other.checkpointer.restored(P, 30);
    await other.write(31);
    expect(cluster.record?.record).toMatchObject({ writer: 'other', current: { watermark: 31 } });
  });

  test('W4: one that only follows notices it too', async () => {
    const cluster = new Cluster();
    const [one, other] = [shard(cluster, 'one'), shard(cluster, 'other')];
    other.isWriter = false;
    cluster.bytes = 60;
    for (const sequence of [10, 20, 30]) await one.write(sequence);
    await other.write(31);
    expect(other.overtaken).toEqual([P]);
  });

  test('stores again what could not be stored, although nothing changed since', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    one.failsNext = true;
    await one.write(10);
    expect(cluster.record?.record.current).toBeUndefined();
    one.isChanged = false;
    await one.checkpointer.flush(10_000);
    expect(cluster.record?.record.current?.watermark).toBe(10);
  });

  test('writes nothing where nothing changed, and knows the blobs that are stored', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    await one.write(10);
    expect(one.saved).toBe(2);
    one.isChanged = false;
    const before = cluster.record;
    one.checkpointer.complete(new Map([[P, 15]]));
    await one.checkpointer.flush(10_000);
    expect(cluster.record).toBe(before);
    one.spaces = ['a'];
    await one.write(20);
    expect(cluster.record?.record.current?.watermark).toBe(20);
    expect(one.saved).toBe(2);
  });

  test.each(['a checkpoint', 'a segment'])(
    'stores again what the blob store lost: %s, and trims nothing behind it',
    async (what) => {
      const cluster = new Cluster();
      const one = shard(cluster);
      await one.write(10);
      one.isChanged = false;
      const { name } = cluster.record!.record.current!;
      const [segment] = Object.keys(cluster.blobs.get(name)!);
      cluster.blobs.delete(what === 'a segment' ? segment! : name);
      cluster.bytes = 60;
      one.sweepNow();
      await one.checkpointer.flush(10_000);
      const { current, previous, trimmedTo } = cluster.record!.record;
      expect(cluster.blobs.has(segment!)).toBe(true);
      expect(cluster.blobs.has(current!.name)).toBe(true);
      expect([current!.name === name, previous, trimmedTo, one.saved]).toEqual([
        false,
        undefined,
        0,
        4,
      ]);
    },
  );

  test('W7: trims nothing behind checkpoints of which the blob store lost something, though no sweep has told', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    for (const sequence of [10, 20]) await one.write(sequence);
    const [segment] = Object.keys(cluster.blobs.get(cluster.record!.record.current!.name)!);
    cluster.blobs.delete(segment!);
    cluster.bytes = 60;
    one.isChanged = false;
    const state = () => {
      const { current, trimmedTo } = cluster.record!.record;
      return [current?.watermark, trimmedTo, cluster.trimmedTo];
    };
    await one.write(30);
    expect(state()).toEqual([20, 0, 0]);
    await one.checkpointer.flush(10_000);
    // The one at 10 has all that it names.
    expect(state()).toEqual([30, 10, 10]);
    expect(cluster.blobs.has(segment!)).toBe(true);
    await one.write(40);
    expect(state()).toEqual([40, 30, 30]);
  });

  test('does not keep a damaged checkpoint as the one before the last', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    for (const sequence of [10, 20]) await one.write(sequence);
    one.damaged.add(cluster.record!.record.current!.name);
    await one.write(30);
    const { current, previous } = cluster.record!.record;
    expect([current?.watermark, previous?.watermark]).toEqual([30, 10]);
  });

  test('stores none that goes back behind the last, or behind what the log has', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    cluster.bytes = 60;
    for (const sequence of [10, 20, 30]) await one.write(sequence);
    const before = cluster.record;
    await one.write(15);
    expect(cluster.record).toBe(before);
    await one.write(31);
    expect(cluster.record?.record.current?.watermark).toBe(31);
  });

  test('W5: stores nothing while nobody knows what the log lost, and then not what it lost', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    await one.write(10);
    const before = cluster.record;
    one.isLogSure = false;
    await one.write(20);
    expect(cluster.record).toBe(before);
    // It is found out while a checkpoint is being stored.
    one.isLogSure = true;
    one.onSave = () => one.checkpointer.complete(new Map());
    await one.write(30);
    expect(cluster.record).toBe(before);
    one.onSave = undefined;
    one.damaged.add(before!.record.current!.name);
    await one.write(12);
    expect(cluster.record?.record).toMatchObject({ current: { watermark: 12 } });
    expect(cluster.record?.record.previous).toBeUndefined();
  });

  test('W6: symptom: what was complete before a partition moved away and back was told of the new one', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    // While the record is read the partition goes, and comes back from an older checkpoint.
    cluster.onRead = () => {
      cluster.onRead = undefined;
      one.checkpointer.release([P]);
      one.checkpointer.restored(P, 5);
    };
    await one.write(100);
    expect([one.taken, cluster.record]).toEqual([[], undefined]);
    await one.write(7);
    expect(one.taken).toEqual([7]);
    expect(cluster.record?.record.current?.watermark).toBe(7);
  });

  test('an empty partition has no checkpoint', async () => {
    const cluster = new Cluster();
    const one = shard(cluster);
    one.spaces = [];
    one.isChanged = false;
    await one.write(10);
    expect(cluster.record?.record.current).toBeUndefined();
  });
});
