import type { PartitionRecord, StoredCheckpoint } from '@engram/log';
import { ClusterError, type PartitionId, type SpaceConfig, type SpaceId } from '@engram/model';
import { createLogger } from '@engram/runtime/logger';
import { describe, expect, test } from 'vitest';
import { Restorer } from '../src/checkpoints/restorer.ts';
import { shardMetrics } from '../src/metrics.ts';

const P = 3 as PartitionId;

function checkpoint(name: string, watermark: number): StoredCheckpoint {
  const logEnd = { sequence: 1_000, storedAtMs: 0 };
  return { name, bytes: 1, crc: 1, watermark, writtenAtMs: 0, logEnd };
}

interface Given {
  readonly record: Partial<PartitionRecord>;
  /** Spaces that are damaged, by checkpoint; a checkpoint of which all is damaged has none to read. */
  readonly damaged?: Readonly<Record<string, readonly string[] | 'all'>>;
  readonly notOfLog?: readonly string[];
  /** What the record is made again as, when nothing of it is of use. */
  readonly remade?: Partial<PartitionRecord>[];
  /** The spaces of a checkpoint, where they are not a and b. */
  readonly has?: Readonly<Record<string, readonly string[]>>;
  /** Blobs that are not there, by checkpoint. */
  readonly lost?: Readonly<Record<string, readonly string[]>>;
}

/** A restorer of a partition with the spaces a and b, and what it asked of the engine. */
function restorerOf(given: Given) {
  const { record, damaged = {}, notOfLog = [], remade = [], has = {}, lost = {} } = given;
  const asked: string[] = [];
  let current = record;
  const epoch = { epoch: 1, writer: 'one', claim: 'c', trimmedTo: 0 } as PartitionRecord;
  const restorer = new Restorer({
    register: {
      read: () => Promise.resolve({ record: { ...epoch, ...current }, revision: 1 }),
      remake: (_, before, tried) => {
        asked.push(`remake without ${[...tried].join(' ')}`);
        const next = remade.shift();
        if (next === undefined) return Promise.resolve(undefined);
        current = next;
        return Promise.resolve({ ...before, record: { ...epoch, ...next } });
      },
    },
    transfers: {
      fetch: (_, { name, bytes, watermark }) => {
        if (damaged[name] === 'all')
          return Promise.reject(new ClusterError('CHECKPOINT_DAMAGED', 'not readable'));
        const spaces = (has[name] ?? ['a', 'b']).map((space) => ({
          space: space as SpaceId,
          afterSequence: 0,
          at: 0,
          bytes,
        }));
        const head = {
          partition: P,
          epoch: 1,
          watermark,
          writtenAtMs: 0,
          spaces,
          blobs: {},
        };
        const gone = lost[name] ?? [];
        return Promise.resolve({
          head,
          lost: gone.map((blob) => ({ name: blob, reason: 'test' })),
        });
      },
    },
    engine: {
      checkpoints: {
        loss: 0,
        distrust: (partition) => {
          asked.push(`distrust ${partition}`);
          return Promise.resolve();
        },
        restore: (_, { path, watermark, lost: without }, spaces) => {
          const names = spaces.map(({ config }) => config.space).join('');
          asked.push([`${path}@${watermark} ${names}`, ...without].join(' without '));
          const its = damaged[path] ?? [];
          const bad = its === 'all' ? [] : its;
          return Promise.resolve({
            damaged: bad.map((space) => ({ space: space as SpaceId, reason: 'test' })),
          });
        },
        restored: () => {
          asked.push('restored');
          return Promise.resolve();
        },
      },
    },
    directory: {
      peek: (space) => ({ space, afterSequence: 0 }) as SpaceConfig,
      recover: () => Promise.reject(new Error('all of them are known')),
    },
    pathOf: (name) => name,
    isOfLog: (_, { name }) => Promise.resolve(!notOfLog.includes(name)),
    metrics: shardMetrics('test'),
    logger: createLogger('shard', 'test', 'silent'),
  });
  return { restorer, asked };
}

const current = checkpoint('new', 95);
const previous = checkpoint('old', 60);

describe('a restorer', () => {
  test('takes the current checkpoint, and leaves what is here and complete', async () => {
    const { restorer, asked } = restorerOf({ record: { current, previous, trimmedTo: 50 } });
    expect(await restorer.restore(P, 50)).toBe(95);
    expect(asked).toEqual(['new@95 ab', 'restored']);
  });

  test('trusts nothing that is here when the log was trimmed before it was applied', async () => {
    const { restorer, asked } = restorerOf({ record: { current, previous, trimmedTo: 60 } });
    expect(await restorer.restore(P, 59)).toBe(95);
    expect(asked).toEqual([`distrust ${P}`, 'new@95 ab', 'restored']);
  });

  test('takes what is damaged from the one before, and goes on from there', async () => {
    const damaged = { new: ['b'] };
    const { restorer, asked } = restorerOf({ record: { current, previous }, damaged });
    expect(await restorer.restore(P, 0)).toBe(60);
    expect(asked).toEqual(['new@95 ab', 'old@60 b', 'restored']);
    expect([restorer.isUseless('new'), restorer.isUseless('old')]).toEqual([true, false]);
  });

  test('symptom: a damaged space that is younger than the checkpoint before kept its partition away', async () => {
    const [damaged, has] = [{ new: ['b'] }, { old: ['a'] }];
    const record = { current, previous, trimmedTo: 60 };
    const { restorer, asked } = restorerOf({ record, damaged, has });
    expect(await restorer.restore(P, 60)).toBe(60);
    expect(asked).toEqual(['new@95 ab', 'old@60 ', 'restored']);
  });

  test('tells what a checkpoint lacks, and keeps none such as the last', async () => {
    const lost = { new: ['graph'] };
    const { restorer, asked } = restorerOf({ record: { current, previous }, lost });
    expect(await restorer.restore(P, 0)).toBe(95);
    expect(asked).toEqual(['new@95 ab without graph', 'restored']);
    expect(restorer.isUseless('new')).toBe(true);
  });

  test('begins with the log when no checkpoint can be used and the log has all', async () => {
    const damaged = { new: 'all', old: ['a'] } as const;
    const { restorer, asked } = restorerOf({ record: { current, previous }, damaged });
    expect(await restorer.restore(P, 0)).toBe(0);
    expect(asked).toEqual(['old@60 ab', 'restored']);
  });

  test('passes over what the log lost, and what is older than the log', async () => {
    const record = { current, previous, trimmedTo: 61 };
    const { restorer, asked } = restorerOf({ record, notOfLog: ['new'] });
    await expect(restorer.restore(P, 61)).rejects.toMatchObject({
      code: 'CHECKPOINT_DAMAGED',
      details: { trimmedTo: 61, spaces: [] },
    });
    expect(asked).toEqual(['remake without new old']);
    expect([restorer.isUseless('new'), restorer.isUseless('old')]).toEqual([true, true]);
  });

  test('says which spaces it misses when the log no longer has them', async () => {
    const damaged = { new: ['b'], old: ['b'] };
    const record = { current, previous, trimmedTo: 50 };
    const { restorer, asked } = restorerOf({ record, damaged });
    await expect(restorer.restore(P, 50)).rejects.toMatchObject({
      code: 'CHECKPOINT_DAMAGED',
      details: { trimmedTo: 50, spaces: ['b'] },
    });
    expect(asked).not.toContain('restored');
  });

  test('symptom: an old record that was put back kept a partition away whose checkpoints were there', async () => {
    const record = { current, previous, trimmedTo: 50 };
    const damaged = { new: 'all', old: 'all' } as const;
    const newest = checkpoint('newest', 120);
    const remade = [{ current: newest, trimmedTo: 50 }];
    const { restorer, asked } = restorerOf({ record, damaged, remade });
    expect(await restorer.restore(P, 50)).toBe(120);
    expect(asked).toEqual(['remake without new old', 'newest@120 ab', 'restored']);
  });

  test('tries none of them twice', async () => {
    const record = { current, previous, trimmedTo: 50 };
    const damaged = { new: 'all', old: 'all', newest: 'all' } as const;
    const remade = [{ current: checkpoint('newest', 120), trimmedTo: 50 }];
    const { restorer, asked } = restorerOf({ record, damaged, remade });
    await expect(restorer.restore(P, 50)).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' });
    expect(asked).toEqual(['remake without new old', 'remake without new old newest']);
  });
});
