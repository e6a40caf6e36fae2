import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadLimits } from '../src/limits-file.ts';
import { PROFILES, thisMachine, type Machine } from '../src/profiles.ts';
import { loadSettings } from '../src/settings.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const EIGHT_CORES: Machine = { cores: 8, memoryBytes: 16 * GIB };

const load = (environment: Record<string, string>, machine = EIGHT_CORES) =>
  loadSettings('shard', environment, machine);

function problemsOf(environment: Record<string, string>): string[] {
  try {
    load(environment);
    return [];
  } catch (error) {
    return (error as Error).message.split('\n  ').slice(1);
  }
}

describe('settings', () => {
  test('have defaults, are numbers where they should be, and are frozen', () => {
    const settings = load({ ENGRAM_PARTITIONS: '8', PATH: '/bin' });
    expect(settings).toMatchObject({
      ENGRAM_PARTITIONS: 8,
      ENGRAM_CLUSTER: 'engram',
      ENGRAM_PROFILE: 'production',
      ENGRAM_LANE_BYTES_MAX: 8 * MIB,
      ENGRAM_GRAPH_THRESHOLD: 4_000,
      ENGRAM_SEGMENT_BYTES_MAX: 64 * MIB,
      ENGRAM_IDLE_UNLOAD_MS: 300_000,
    });
    expect(Object.isFrozen(settings)).toBe(true);
  });

  test('name everything that is wrong or unknown at once, rules between fields included', () => {
    const wrong = {
      ENGRAM_PARTITIONS: '0',
      ENGRAM_CLUSTER: 'a b',
      ENGRAM_TYPO: '1',
      ENGRAM_LANE_MESSAGES_MAX: '512',
      ENGRAM_NATS_URL: 'http://x',
      ENGRAM_PROFILE: 'fast',
      ENGRAM_LEASE_TTL_MS: '1500',
      ENGRAM_MIN_BATCH: '501',
      ENGRAM_MEMORY_SOFT_BYTES: String(8 * GIB),
    };
    const named = problemsOf(wrong).map((problem) => problem.split(':')[0]);
    expect(named.sort()).toEqual(Object.keys(wrong).sort());
  });

  test.each(['', '0x1', '-1', '2', '1.5', 'NaN', '1e-3'])(
    'the share %j of traces is none',
    (ratio) => {
      expect(problemsOf({ ENGRAM_TRACE_RATIO: ratio })).toEqual([
        'ENGRAM_TRACE_RATIO: must be a number from 0 to 1, such as 0.01',
      ]);
    },
  );

  test.each([
    ['0', 0],
    ['1', 1],
    ['.5', 0.5],
    ['0.001', 0.001],
  ])('the share %j of traces is %d', (text, ratio) => {
    expect(load({ ENGRAM_TRACE_RATIO: text }).ENGRAM_TRACE_RATIO).toBe(ratio);
  });

  test('that are wrong in themselves are named once, not again by a rule', () => {
    expect(problemsOf({ ENGRAM_MIN_BATCH: 'many', ENGRAM_MAX_BATCH: '5' })).toEqual([
      'ENGRAM_MIN_BATCH: must be a whole number in digits',
    ]);
    expect(problemsOf({ ENGRAM_MIN_BATCH: '501', ENGRAM_MAX_BATCH: '0' })).toHaveLength(1);
  });

  test('refuse a lease that one lost heartbeat would end', () => {
    expect(() => load({ ENGRAM_LEASE_TTL_MS: '1500' })).toThrow(/ENGRAM_LEASE_TTL_MS/);
    expect(load({ ENGRAM_LEASE_TTL_MS: '1501' }).ENGRAM_LEASE_TTL_MS).toBe(1_501);
  });

  test('allow batches of one size, and no soft limit of memory at the hard one', () => {
    expect(load({ ENGRAM_MIN_BATCH: '500' }).ENGRAM_MIN_BATCH).toBe(500);
    expect(problemsOf({ ENGRAM_MEMORY_HARD_BYTES: String(4 * GIB) })).toEqual([
      'ENGRAM_MEMORY_SOFT_BYTES: must be less than ENGRAM_MEMORY_HARD_BYTES',
    ]);
    expect(problemsOf({ ENGRAM_MEMORY_HARD_BYTES: String(4 * GIB + 1) })).toEqual([]);
  });

  test('keep what a shard can read again in a folder of its own', () => {
    const settings = { ENGRAM_CLUSTER: 'blue', ENGRAM_MEMBER_ID: 's1' };
    expect(load(settings).ENGRAM_DATA_DIR).toBe(join(tmpdir(), 'engram', 'blue', 's1'));
    expect(load({ ...settings, ENGRAM_DATA_DIR: '/x' }).ENGRAM_DATA_DIR).toBe('/x');
    expect(problemsOf({ ENGRAM_DATA_DIR: '' })).toHaveLength(1);
  });

  test('symptom: an empty or hexadecimal text was taken for a number', () => {
    for (const text of ['', ' ', '0x10', '1e3', '1.5', '-1'])
      expect(() => load({ ENGRAM_DRAIN_TIMEOUT_MS: text })).toThrow(/ENGRAM_DRAIN_TIMEOUT_MS/);
  });
});

describe('a profile', () => {
  // The reference's performance analysis, "Configuration Profiles", on its eight cores.
  test.each([
    ['production', 8, [5_000, 50_000, 25_000], [10, 500], 1_000, 1, [4 * GIB, 8 * GIB]],
    ['low-latency', 4, [1_000, 10_000, 5_000], [5, 50], 500, 0, [4 * GIB, 8 * GIB]],
    ['high-throughput', 16, [10_000, 100_000, 50_000], [100, 1_000], 5_000, 5, [4 * GIB, 8 * GIB]],
    ['resource-constrained', 2, [500, 5_000, 2_000], [10, 200], 1_000, 2, [768 * MIB, GIB]],
  ] as const)(
    '%s has the values of the reference',
    (profile, workers, lanes, batch, steal, idle, memory) => {
      expect(load({ ENGRAM_PROFILE: profile })).toMatchObject({
        ENGRAM_PROFILE: profile,
        ENGRAM_WORKERS: workers,
        ENGRAM_LANE_HIGH_MAX: lanes[0],
        ENGRAM_LANE_NORMAL_MAX: lanes[1],
        ENGRAM_LANE_LOW_MAX: lanes[2],
        ENGRAM_MIN_BATCH: batch[0],
        ENGRAM_MAX_BATCH: batch[1],
        ENGRAM_STEAL_THRESHOLD: steal,
        ENGRAM_IDLE_SLEEP_MS: idle,
        ENGRAM_MEMORY_SOFT_BYTES: memory[0],
        ENGRAM_MEMORY_HARD_BYTES: memory[1],
      });
    },
  );

  test.each([
    ['production', [1, 3, 256]],
    ['low-latency', [1, 2, 200]],
    ['high-throughput', [2, 6, 256]],
    ['resource-constrained', [1, 2, 2]],
  ] as const)('%s has workers by the cores: one, three and 400', (ENGRAM_PROFILE, workers) => {
    const counts = [1, 3, 400].map(
      (cores) => load({ ENGRAM_PROFILE }, { ...EIGHT_CORES, cores }).ENGRAM_WORKERS,
    );
    expect(counts).toEqual(workers);
  });

  test('is overridden by each variable that is set, and by that one only', () => {
    const profile = { ENGRAM_PROFILE: 'resource-constrained' };
    const plain = load(profile);
    for (const name of [
      'ENGRAM_WORKERS',
      'ENGRAM_LANE_HIGH_MAX',
      'ENGRAM_LANE_NORMAL_MAX',
      'ENGRAM_LANE_LOW_MAX',
      'ENGRAM_MIN_BATCH',
      'ENGRAM_MAX_BATCH',
      'ENGRAM_STEAL_THRESHOLD',
      'ENGRAM_IDLE_SLEEP_MS',
    ])
      expect(load({ ...profile, [name]: '77' })).toEqual({ ...plain, [name]: 77 });
    for (const [name, bytes] of [
      ['ENGRAM_MEMORY_SOFT_BYTES', 512 * MIB],
      ['ENGRAM_MEMORY_HARD_BYTES', 2 * GIB],
    ] as const)
      expect(load({ ...profile, [name]: String(bytes) })).toEqual({ ...plain, [name]: bytes });
  });

  test('asks for no more memory than half and four fifths of what the machine has', () => {
    for (const ENGRAM_PROFILE of PROFILES) {
      const settings = load({ ENGRAM_PROFILE }, { cores: 2, memoryBytes: GIB });
      expect(settings.ENGRAM_MEMORY_SOFT_BYTES).toBe(GIB / 2);
      expect(settings.ENGRAM_MEMORY_HARD_BYTES).toBe(Math.floor(GIB * 0.8));
    }
  });

  test('knows this machine', () => {
    const { cores, memoryBytes } = thisMachine();
    expect(cores).toBeGreaterThanOrEqual(1);
    expect(memoryBytes).toBeGreaterThan(64 * MIB);
    expect(memoryBytes).toBeLessThan(2 ** 50);
  });
});

describe('the file of limits', () => {
  const withFile = (text: string, check: (path: string) => void) => {
    const folder = mkdtempSync(join(tmpdir(), 'engram-limits-'));
    try {
      const path = join(folder, 'limits.json');
      writeFileSync(path, text);
      check(path);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  test('names spaces and callers with limits of their own', () => {
    withFile('{"spaces": {"notes": {"observationsPerS": 5}}}', (path) => {
      const { space, caller } = loadLimits(path);
      expect(space).toEqual(new Map([['notes', { observationsPerS: 5 }]]));
      expect(caller.size).toBe(0);
    });
  });

  test('that is not there, or wrong, is refused with what is wrong', () => {
    expect(() => loadLimits('/nowhere/limits.json')).toThrow('ENGRAM_LIMITS_FILE: ENOENT');
    withFile('{', (path) => expect(() => loadLimits(path)).toThrow('ENGRAM_LIMITS_FILE'));
    withFile('{"spaces": {"a": {"observationsPerS": -1, "reads": 1}}, "rooms": {}}', (path) => {
      expect(() => loadLimits(path)).toThrow(/spaces\.a\.observationsPerS/);
      expect(() => loadLimits(path)).toThrow(/reads/);
      expect(() => loadLimits(path)).toThrow(/rooms/);
    });
  });

  test('with callers that are neither key: nor jwt: is refused, as it would limit nobody', () => {
    withFile('{"callers": {"importer": {"requestsMax": 1}, "key:": {}}}', (path) => {
      const fault = /callers\.importer: a caller is key: and the id of its key[^]*callers\.key:: a/;
      expect(() => loadLimits(path)).toThrow(fault);
    });
    withFile('{"callers": {"key:importer": {}, "jwt:me@example.org": {}}}', (path) =>
      expect([...loadLimits(path).caller.keys()]).toEqual(['key:importer', 'jwt:me@example.org']),
    );
  });

  test('may be named by a relative path, as the file of keys may', () => {
    const settings = loadSettings('gateway', { ENGRAM_LIMITS_FILE: 'limits.json' }, EIGHT_CORES);
    expect(settings.ENGRAM_LIMITS_FILE).toBe('limits.json');
  });

  test('need not be', () => {
    expect(loadLimits(undefined)).toEqual({ space: new Map(), caller: new Map() });
  });
});
