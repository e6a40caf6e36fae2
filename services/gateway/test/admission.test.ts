import type { LaneSignal, Refusal, ShardSignal } from '@engram/admission';
import type { ClusterError } from '@engram/model';
import { LANES, perLane, type Lane, type MemberId, type SpaceId } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { Admission, type AdmissionOptions } from '../src/admission/admission.ts';

const SPACE = 'notes' as SpaceId;
const one = 'shard-1' as MemberId;
const two = 'shard-2' as MemberId;

function signalOf(
  member: MemberId,
  lanes: Partial<Record<Lane, Partial<LaneSignal>>>,
): ShardSignal {
  return {
    member,
    startedAt: 1,
    count: 1,
    lanes: perLane((lane) => ({
      level: 'normal',
      cause: 'none',
      fill: 0,
      waiting: 0,
      lagMs: 0,
      drainRate: 2_000,
      lagMaxMs: 4_000,
      spaces: new Map(),
      ...lanes[lane],
    })),
  };
}

const full = { level: 'overloaded', cause: 'lag', fill: 1, lagMs: 4_000, waiting: 8_000 } as const;
const busy = { level: 'critical', cause: 'lag', fill: 0.9, lagMs: 3_600, waiting: 7_200 } as const;

function gateway(options: Partial<AdmissionOptions> & { readonly signals?: ShardSignal[] } = {}) {
  const { signals = [signalOf(one, {})], ...rest } = options;
  const refusals: Refusal[] = [];
  let nowMs = 0;
  const admission = new Admission({
    partitionCount: 64,
    candidates: () => ({ ready: signals.map(({ member }) => member), catchingUp: [] }),
    signalOf: (shard) => signals.find(({ member }) => member === shard),
    isLogConnected: () => true,
    ownFill: () => ({ fill: 0, cause: 'publishes' }),
    unservedGraceMs: 30_000,
    onRefused: (refusal) => refusals.push(refusal),
    clock: { now: () => nowMs, wallNow: () => nowMs, sleep: () => Promise.resolve() },
    random: () => 0,
    ...rest,
  });
  const refused = (lane: Lane): ClusterError | undefined => {
    try {
      admission.admit(SPACE, [lane]);
      return undefined;
    } catch (error) {
      return error as ClusterError;
    }
  };
  return {
    admission,
    refusals,
    refused,
    open: () => LANES.filter((lane) => refused(lane) === undefined),
    pass: (ms: number) => (nowMs += ms),
  };
}

describe('a gateway', () => {
  test('takes everything from a cluster at rest', () => {
    expect(gateway().open()).toEqual(['high', 'normal', 'low']);
  });

  test('refuses low first and high last', () => {
    const open = (lanes: Parameters<typeof signalOf>[1]) =>
      gateway({ signals: [signalOf(one, lanes)] }).open();
    expect(open({ low: busy })).toEqual(['high', 'normal']);
    expect(open({ normal: busy, low: busy })).toEqual(['high', 'normal']);
    expect(open({ normal: full, low: full })).toEqual(['high']);
    expect(open({ high: full, normal: full, low: full })).toEqual([]);
  });

  test('tells a client that is too fast when, how much, and what else is open', () => {
    const { refused, refusals } = gateway({
      signals: [signalOf(one, { normal: full, low: full })],
    });
    const error = refused('normal');
    expect(error).toMatchObject({ code: 'BACKPRESSURE', status: 429 });
    expect(error?.message).toBe(
      'what waits for shard-1 takes 4.0 s: 8000 observations, 2000 are applied in a second',
    );
    expect(error?.details).toEqual({
      scope: 'partition',
      cause: 'lag',
      lane: 'normal',
      drainRate: 2_000,
      retryAfterMs: 2_000, // until half of what the lane may hold is left
      batchMax: 800,
      waitHelps: true,
      lanesOpen: ['high'],
    });
    expect(refusals).toHaveLength(1);
  });

  test('does not have everybody come back at one time', () => {
    const signals = [signalOf(one, { normal: full })];
    const at = (random: number) =>
      gateway({ signals, random: () => random }).refused('normal')?.details.retryAfterMs;
    expect([at(0), at(0.5), at(1)]).toEqual([2_000, 2_500, 3_000]);
  });

  test('tells a shard that stands still, and one without memory, from one that has too much to do', () => {
    const closed = (cause: LaneSignal['cause']) =>
      gateway({ signals: [signalOf(one, { normal: { ...full, cause } })] }).refused('normal');
    const stalled = closed('stalled');
    expect(stalled).toMatchObject({ code: 'PARTITION_UNAVAILABLE', status: 503 });
    expect(stalled?.details).toMatchObject({ cause: 'stalled', waitHelps: false });
    expect(stalled?.message).toContain('applies nothing');
    const short = closed('memory');
    expect(short).toMatchObject({ code: 'MEMORY_LIMIT', status: 503 });
    expect(short?.details).toMatchObject({ cause: 'memory', waitHelps: false });
  });

  test('refuses a space that crowds out the others, and none of the others', () => {
    const share = { level: 'overloaded', waiting: 3_000, lagMs: 3_000 } as const;
    const crowded = (space: string) => [
      signalOf(one, {}),
      signalOf(two, { normal: { spaces: new Map([[space as SpaceId, share]]) } }),
    ];
    const { open, refused } = gateway({ signals: crowded(SPACE) });
    expect(open()).toEqual(['high', 'low']);
    expect(refused('normal')).toMatchObject({
      code: 'BACKPRESSURE',
      status: 429,
      details: {
        scope: 'space',
        cause: 'share',
        lane: 'normal',
        drainRate: 2_000,
        retryAfterMs: 1_500,
        batchMax: 300,
        waitHelps: true,
      },
    });
    expect(gateway({ signals: crowded('another') }).open()).toEqual(LANES);
  });

  test('goes by the worst of the shards that serve the space', () => {
    const signals = [signalOf(one, {}), signalOf(two, { normal: full, low: full })];
    const { open, refused } = gateway({ signals });
    expect(open()).toEqual(['high']);
    expect(refused('normal')?.message).toContain('shard-2');
  });

  test('that hears of one copy goes by that, and of none refuses low alone', () => {
    const signals = [signalOf(one, { normal: full, low: full })];
    const candidates = () => ({ ready: [one, two], catchingUp: [] });
    expect(gateway({ signals, candidates }).open()).toEqual(['high']);
    const deaf = gateway({ signals: [], candidates });
    expect(deaf.open()).toEqual(['high', 'normal']);
    expect(deaf.refused('low')).toMatchObject({
      code: 'PARTITION_UNAVAILABLE',
      details: { cause: 'signals', waitHelps: true, lanesOpen: ['high', 'normal'] },
    });
  });

  test('takes what a shard will apply that still reads its log, but low', () => {
    const candidates = () => ({ ready: [], catchingUp: [one] });
    const { open, refused } = gateway({ candidates });
    expect(open()).toEqual(['high', 'normal']);
    expect(refused('low')?.details).toMatchObject({ cause: 'unserved' });
  });

  test('without any shard takes writes for the grace, and then says that nobody would apply them', () => {
    const { admission, open, refused, pass } = gateway({ signals: [] });
    admission.noteShards(0);
    pass(29_999);
    admission.noteShards(0);
    expect(open()).toEqual(['high', 'normal']);
    pass(1);
    expect(open()).toEqual([]);
    expect(refused('high')).toMatchObject({
      code: 'PARTITION_UNAVAILABLE',
      message: 'no shard has been in the cluster for 30 s: nobody would apply it',
      details: { scope: 'cluster', cause: 'unserved', lanesOpen: [] },
    });
    admission.noteShards(1);
    pass(60_000);
    expect(open()).toEqual(['high', 'normal']);
  });

  test('without NATS takes nothing, and says how long to wait', () => {
    const { refused } = gateway({ isLogConnected: () => false });
    for (const lane of LANES)
      expect(refused(lane)).toMatchObject({
        code: 'LOG_UNAVAILABLE',
        status: 503,
        details: { scope: 'cluster', cause: 'log', retryAfterMs: 2_000 },
      });
  });

  test('that has too much under way itself sends callers to another one, high last', () => {
    const open = (fill: number) => gateway({ ownFill: () => ({ fill, cause: 'bytes' }) }).open();
    expect(open(0.8)).toEqual(['high', 'normal', 'low']);
    expect(open(0.9)).toEqual(['high', 'normal']);
    expect(open(0.96)).toEqual(['high']);
    expect(open(1)).toEqual([]);
    const { refused } = gateway({ ownFill: () => ({ fill: 1.2, cause: 'bytes' }) });
    expect(refused('high')?.details).toMatchObject({ scope: 'gateway', cause: 'bytes' });
  });
});
