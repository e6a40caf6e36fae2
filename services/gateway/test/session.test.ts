import { gatewayMetrics } from '../src/metrics.ts';
import { parseGrants } from '@engram/access';
import { refusalError, type ShardSignal } from '@engram/admission';
import {
  ClusterError,
  type AckLevel,
  type MemberId,
  type PartitionId,
  type SpaceConfig,
} from '@engram/model';
import type { OpenMessage, ServerMessage } from '@engram/session';
import { createLogger } from '@engram/runtime/logger';
import { NO_TRACING } from '@engram/tracing';
import { expect, test, vi } from 'vitest';
import type { IngestRequest, IngestResult } from '../src/ingest/ingest.ts';
import { ANYBODY, type Principal } from '../src/auth/principal.ts';
import { Backlog } from '../src/ws/backlog.ts';
import { lagOf, NO_LOAD, type Load } from '../src/ws/lag.ts';
import { Session } from '../src/ws/session.ts';

const NO_SPACES: ShardSignal['lanes']['normal']['spaces'] = new Map();
const CONFIG: SpaceConfig = {
  space: 'docs' as SpaceConfig['space'],
  dimension: 1,
  metric: 'ip',
  engine: 'usearch',
  quantization: 'i8',
  m: 16,
  efConstruction: 128,
  afterSequence: 0,
  createdAt: '2026-01-01T00:00:00.000Z',
};

/** A log that takes what it is told to take, and a clock whose sleeps end when they are told to. */
class World {
  readonly sent: ServerMessage[] = [];
  readonly keys: (string | undefined)[] = [];
  readonly backlog = new Backlog(1_000);
  readonly reading: string[] = [];
  load: Load = NO_LOAD;
  /** What the next tries end with; then all goes well. */
  failures: ClusterError[] = [];
  beyondLimits: ClusterError[] = [];
  underWay = 0;
  reached: AckLevel = 'searchable';
  wake: () => void = () => undefined;
  #sequence = 0;

  open(open: Partial<OpenMessage> = {}, principal: Principal = ANYBODY): Promise<Session> {
    const message = { type: 'open', space: CONFIG.space, ack: 'logged', ...open } as const;
    const context = {
      directory: { find: () => Promise.resolve(CONFIG), list: () => [CONFIG] },
      ingest: {
        put: (request: IngestRequest) => this.#put(request),
        reach: () => Promise.resolve(this.reached),
      },
      limits: { enter: () => this.#enter() },
      slots: { enter: () => () => undefined },
      recall: { stream: () => Promise.reject(new Error('not asked for here')) },
      metrics: gatewayMetrics('test', 20),
      tracing: NO_TRACING,
      lagOf: () => this.load,
      backlog: this.backlog,
      idleMs: 1_000,
      messageBytesMax: 100,
      clock: {
        now: () => 0,
        wallNow: () => 0,
        sleep: (_ms: number, signal?: AbortSignal) =>
          new Promise<void>((resolve) => {
            this.wake = resolve;
            signal?.addEventListener('abort', () => resolve());
          }),
      },
      random: () => 0.5,
      logger: createLogger('gateway', 'test', 'silent'),
    };
    return Session.open({ ackTimeoutMs: 10, atomic: false, ...message }, context, {
      caller: undefined,
      principal,
      send: (sent) => {
        this.sent.push(sent);
        return Promise.resolve();
      },
      pauseReading: () => this.reading.push('paused'),
      resumeReading: () => this.reading.push('resumed'),
      onAnswered: () => undefined,
    });
  }

  #enter(): () => void {
    const failure = this.beyondLimits.shift();
    if (failure !== undefined) throw failure;
    this.underWay++;
    return () => this.underWay--;
  }

  #put(request: IngestRequest): Promise<IngestResult> {
    this.keys.push(request.key);
    const failure = this.failures.shift();
    if (failure !== undefined) return Promise.reject(failure);
    const position = `0-0.${++this.#sequence}.0`;
    return Promise.resolve({
      accepted: 1,
      rejected: 0,
      total: 1,
      errors: [],
      position,
      ack: 'logged',
    });
  }

  types(): string[] {
    return this.sent.map(({ type }) => type);
  }
}

const batch = (seq: number) =>
  [
    { type: 'batch', seq, observations: [{ id: `o${seq}`, embedding: [seq] }] },
    Buffer.from(`batch ${seq}`),
  ] as const;

const refused = refusalError({
  code: 'BACKPRESSURE',
  scope: 'partition',
  cause: 'lag',
  lane: 'normal',
  detail: 'too much waits',
  retryAfterMs: 700,
  waitHelps: true,
});

test('a refusal pauses the session, and the batch is tried until it is taken, in order', async () => {
  const world = new World();
  world.failures = [refused, refused];
  const session = await world.open();
  expect(session.offer(...batch(1))).toBeUndefined();
  expect(session.offer(...batch(2))).toBeUndefined();
  await vi.waitFor(() => expect(world.types()).toEqual(['pause']));
  expect(world.sent[0]).toMatchObject({
    reason: 'lag',
    retryAfterMs: 700,
    problem: { code: 'BACKPRESSURE', details: { lane: 'normal', waitHelps: true } },
  });
  expect(session.isPaused).toBe(true);
  world.wake();
  await vi.waitFor(() => expect(world.types()).toEqual(['pause', 'pause']));
  world.wake();
  await vi.waitFor(() => expect(world.types()).toEqual(['pause', 'pause', 'resume', 'ack', 'ack']));
  expect(session.isPaused).toBe(false);
  // The same message id in all tries of a batch, and another one for the next.
  const [first, second, third, fourth] = world.keys;
  expect([second, third]).toEqual([first, first]);
  expect(fourth).not.toBe(first);
});

test('who may not write has a session for recalls, and who may nothing has none', async () => {
  const world = new World();
  const of = (grants: Record<string, string[]>) => ({
    ...ANYBODY,
    id: 'key:k',
    grants: parseGrants(grants),
  });
  const reader = await world.open({}, of({ docs: ['read'] }));
  expect(() => reader.offer(...batch(1))).toThrow('no scope write');
  const writer = await world.open({}, of({ docs: ['write'] }));
  expect(writer.offer(...batch(1))).toBeUndefined();
  const recall = { type: 'recall', recall: 'r', query: {} } as const;
  expect(() => writer.recalls.start(recall)).toThrow('no scope read');
  await expect(world.open({}, of({ others: ['write'] }))).rejects.toMatchObject({
    code: 'FORBIDDEN',
  });
});

test('a limit pauses the session before anything is done for the batch', async () => {
  const world = new World();
  world.beyondLimits = [new ClusterError('RATE_LIMITED', 'enough', { details: { cause: 'rate' } })];
  const session = await world.open();
  session.offer(...batch(1));
  await vi.waitFor(() => expect(world.sent).toMatchObject([{ type: 'pause', reason: 'rate' }]));
  expect(world.keys).toEqual([]);
  world.wake();
  await vi.waitFor(() => expect(world.types()).toEqual(['pause', 'resume', 'ack']));
  expect(world.underWay).toBe(0);
});

test('a failure that waiting does not help is answered, and the next batch goes on', async () => {
  const world = new World();
  world.failures = [new ClusterError('OBSERVATION_TOO_LARGE', 'no frame holds it')];
  const session = await world.open();
  session.offer(...batch(1));
  session.offer(...batch(2));
  await vi.waitFor(() => expect(world.types()).toEqual(['ack', 'ack']));
  expect(world.sent).toMatchObject([
    { upTo: 1, refused: [{ seq: 1, rejected: 1, problem: { code: 'OBSERVATION_TOO_LARGE' } }] },
    { upTo: 2, position: '0-0.1.0' },
  ]);
});

test('a session that is closed while it is paused tries no more, and leaves nothing behind', async () => {
  const world = new World();
  world.failures = [refused];
  const session = await world.open();
  session.offer(...batch(1));
  session.offer(...batch(2));
  await vi.waitFor(() => expect(world.types()).toEqual(['pause']));
  expect(world.backlog.fill).toBeGreaterThan(0);
  session.close();
  await new Promise((resolve) => setImmediate(resolve));
  expect(world.keys).toHaveLength(1);
  expect(world.backlog.fill).toBe(0);
});

test('the message id is another one for other bytes, another number and another session', async () => {
  const world = new World();
  const open = (session: string) => world.open({ resume: { session, acked: 0 } });
  const [a, b, c] = [await open('a'), await open('a'), await open('b')];
  a.offer(...batch(1));
  b.offer(batch(1)[0], Buffer.from('others'));
  c.offer(...batch(1));
  a.offer(...batch(2));
  const again = await open('a');
  again.offer(...batch(1));
  await vi.waitFor(() => expect(world.keys).toHaveLength(5));
  expect(new Set(world.keys).size).toBe(4);
});

test('an acknowledgement tells the level that was reached, also where that is less', async () => {
  const world = new World();
  const session = await world.open({ ack: 'indexed' });
  world.reached = 'logged';
  session.offer(...batch(1));
  await vi.waitFor(() => expect(world.sent).toMatchObject([{ upTo: 1, level: 'logged' }]));
});

test('lag shrinks the credit, says why, and gives it back', async () => {
  const world = new World();
  const session = await world.open();
  const windowNow = () => {
    const ack = world.sent.findLast((sent) => sent.type === 'ack');
    return ack!.credit.items - ack!.upTo;
  };
  session.offer(...batch(1));
  await vi.waitFor(() => expect(world.types()).toEqual(['ack']));
  const full = windowNow();
  world.load = { share: 0.25, reason: 'lag', detail: 'much waits' };
  session.offer(...batch(2));
  await vi.waitFor(() => expect(world.types()).toEqual(['ack', 'ack', 'slow']));
  expect(world.sent.at(-1)).toMatchObject({ reason: 'lag', share: 0.25, detail: 'much waits' });
  // Nothing is taken back; but nothing is added either.
  expect(windowNow()).toBe(full - 1);
  world.load = NO_LOAD;
  session.offer(...batch(3));
  await vi.waitFor(() => expect(world.types().at(-1)).toBe('resume'));
  expect(windowNow()).toBe(full);
});

test('a gateway with too much in memory stops to read until what a session sent is written', async () => {
  const world = new World();
  world.backlog.enter(995);
  const session = await world.open();
  world.failures = [refused];
  session.offer(...batch(1));
  expect(world.reading).toEqual(['paused']);
  await vi.waitFor(() => expect(world.types()).toContain('pause'));
  world.wake();
  await vi.waitFor(() => expect(world.reading).toEqual(['paused', 'resumed']));
});

test('lag is that of the worst shard which serves the space, in the lane of the session', () => {
  const crowding = new Map(NO_SPACES);
  const lane = (fill: number) => ({
    level: 'normal' as const,
    cause: 'lag' as const,
    fill,
    waiting: 10,
    lagMs: 1_500,
    drainRate: 7,
    lagMaxMs: 4_000,
    spaces: crowding,
  });
  const [calm, busy, silent] = ['a', 'b', 'c'] as MemberId[];
  const router = {
    partitionCount: 64,
    candidates: (_of: PartitionId) => ({ ready: [calm!, busy!, silent!], catchingUp: [] }),
  };
  const fills = new Map([
    [calm, 0.1],
    [busy, 0.75],
  ]);
  const board = {
    of: (member: MemberId) => {
      const fill = fills.get(member);
      if (fill === undefined) return undefined;
      const lanes = { high: lane(0), normal: lane(fill), low: lane(9) };
      return { member, startedAt: 1, count: 1, lanes };
    },
  };
  expect(lagOf(router, board, CONFIG.space, 'normal')).toEqual({
    share: 0.5,
    reason: 'lag',
    detail: '10 observations wait for b, which takes 1.5 s: 7 are applied in a second',
  });
  const share = { level: 'critical' as const, waiting: 900, lagMs: 3_000 };
  crowding.set(CONFIG.space, share);
  expect(lagOf(router, board, CONFIG.space, 'normal')).toMatchObject({ share: 0, reason: 'share' });
  crowding.clear();
  expect(lagOf(router, board, CONFIG.space, 'high')).toEqual(NO_LOAD);
  expect(lagOf(router, board, CONFIG.space, 'low').share).toBe(0);
});
