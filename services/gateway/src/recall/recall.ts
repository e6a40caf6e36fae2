import {
  embeddingBytes,
  type GetReply,
  type GetRequest,
  type Include,
  type RecallReply,
  type RecallRequest,
  type StatsReply,
} from '@engram/codec';
import {
  ClusterError,
  formatPosition,
  partitionOf,
  perLane,
  type MemberId,
  type Position,
  type SpaceConfig,
  type SpaceId,
} from '@engram/model';
import type { Clock } from '@engram/runtime';
import type { Router } from '../cluster/router.ts';

export interface RecallOptions {
  readonly router: Router;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

export interface RecallQuery {
  readonly embedding: Float32Array;
  readonly k: number;
  readonly ef?: number;
  readonly filter?: unknown;
  readonly include: readonly Include[];
  /** Of the writes that must be seen; the latest of each partition counts. */
  readonly minPositions: readonly Position[];
  /** Nothing newer is seen; of every partition that is asked, or empty. */
  readonly asOf: readonly Position[];
  readonly waitMs: number;
  /** Whether an answer that lacks some space is an answer. */
  readonly allowPartial: boolean;
}

interface RecallResult {
  readonly space: SpaceId;
  readonly id: string;
  readonly score: number;
  readonly metadata?: unknown;
  readonly embedding?: number[];
  readonly timestamp?: number;
}

export interface RecallAnswer {
  readonly results: RecallResult[];
  readonly shards: { readonly asked: number; readonly answered: number; readonly ids: MemberId[] };
  /** Space → position token up to which its shard had applied the log. */
  readonly watermarks: Record<string, string>;
  /** Something may be missing; `reasons` says what and why. */
  readonly degraded: boolean;
  readonly reasons: string[];
  readonly tookMs: number;
}

export class Recall {
  readonly #options: RecallOptions;

  constructor(options: RecallOptions) {
    this.#options = options;
  }

  /**
   * The nearest observations over all the spaces, best first.
   * @throws ClusterError POSITION_NOT_REACHED, INVALID_*, or PARTITION_UNAVAILABLE unless partial
   *   answers are allowed
   */
  async recall(configs: readonly SpaceConfig[], query: RecallQuery): Promise<RecallAnswer> {
    const { router, timeoutMs, clock } = this.#options;
    const startedAt = clock.now();
    const positions = this.#byPartition(configs, query.minPositions, '/minPosition');
    const snapshots = this.#byPartition(configs, query.asOf, '/asOf');
    const outcomes = await Promise.allSettled(
      configs.map(async (config) => {
        const partition = partitionOf(config.space, router.partitionCount);
        const minPosition = positions.get(partition);
        const asOf = snapshots.get(partition);
        if (asOf === undefined && snapshots.size > 0)
          throw new ClusterError(
            'INVALID_POSITION',
            `asOf has no position for the space ${config.space}`,
            { pointer: '/asOf' },
          );
        const body: RecallRequest = {
          config,
          embedding: embeddingBytes(query.embedding),
          k: query.k,
          ...(query.ef === undefined ? {} : { ef: query.ef }),
          ...(query.filter === undefined ? {} : { filter: query.filter }),
          include: query.include,
          ...(minPosition === undefined ? {} : { minPosition: formatPosition(minPosition) }),
          ...(asOf === undefined ? {} : { asOf: formatPosition(asOf) }),
          waitMs: query.waitMs,
        };
        const waits = minPosition !== undefined || asOf !== undefined;
        return router.ask<RecallReply>(
          config,
          'recall',
          body,
          timeoutMs + (waits ? query.waitMs : 0),
        );
      }),
    );
    const results: RecallResult[] = [];
    const ids = new Set<MemberId>();
    const watermarks: Record<string, string> = {};
    const reasons: string[] = [];
    for (const [index, outcome] of outcomes.entries()) {
      const { space } = configs[index]!;
      if (outcome.status === 'rejected') {
        const error = ClusterError.from(outcome.reason);
        const isAbsent = error.code === 'PARTITION_UNAVAILABLE' || error.code === 'LOG_UNAVAILABLE';
        if (!isAbsent || !query.allowPartial) throw error;
        reasons.push(`${space}: ${error.message}`);
        continue;
      }
      const { shard, reply } = outcome.value;
      ids.add(shard);
      watermarks[space] = reply.watermark;
      if (!reply.isReady) {
        const reason = `${space}: ${shard} is still reading the log`;
        if (!query.allowPartial) throw new ClusterError('PARTITION_UNAVAILABLE', reason);
        reasons.push(reason);
      }
      for (const hit of reply.hits) results.push(toResult(space, hit));
    }
    sortNearestFirst(results, configs);
    return {
      results: results.slice(0, query.k),
      shards: {
        asked: configs.length,
        answered: outcomes.filter((o) => o.status === 'fulfilled').length,
        ids: [...ids],
      },
      watermarks,
      degraded: reasons.length > 0,
      reasons,
      tookMs: Math.round((clock.now() - startedAt) * 1000) / 1000,
    };
  }

  /** @throws ClusterError OBSERVATION_NOT_FOUND, PARTITION_UNAVAILABLE */
  async get(
    config: SpaceConfig,
    id: string,
    minPosition: string | undefined,
    waitMs: number,
  ): Promise<NonNullable<GetReply['found']> & { readonly watermark: string }> {
    const body: GetRequest = {
      config,
      id,
      ...(minPosition === undefined ? {} : { minPosition }),
      waitMs,
    };
    const { router, timeoutMs } = this.#options;
    const { reply } = await router.ask<GetReply>(
      config,
      'get',
      body,
      timeoutMs + (minPosition === undefined ? 0 : waitMs),
    );
    if (reply.found !== undefined) return { ...reply.found, watermark: reply.watermark };
    // A shard that still reads the log cannot know that there is none.
    if (!reply.isReady)
      throw new ClusterError('PARTITION_UNAVAILABLE', 'the shard is still reading the log', {
        hint: 'try again in a few seconds',
      });
    throw new ClusterError('OBSERVATION_NOT_FOUND', 'the space has no observation with this id', {
      pointer: '#id',
      hint: 'after a write, read with ?minPosition= and the position that the write answered',
    });
  }

  async stats(
    config: SpaceConfig,
  ): Promise<{ readonly shard: MemberId; readonly reply: StatsReply }> {
    return this.#options.router.ask<StatsReply>(
      config,
      'stats',
      { config },
      this.#options.timeoutMs,
    );
  }

  /** @throws ClusterError INVALID_POSITION for one that belongs to none of the spaces */
  #byPartition(
    configs: readonly SpaceConfig[],
    positions: readonly Position[],
    pointer: string,
  ): ReadonlyMap<number, Position> {
    const { router } = this.#options;
    const partitions = new Set(
      configs.map(({ space }) => partitionOf(space, router.partitionCount)),
    );
    const byPartition = new Map<number, Position>();
    for (const position of positions) {
      const { partition } = position;
      if (!partitions.has(partition))
        throw new ClusterError('INVALID_POSITION', 'the position belongs to another space', {
          pointer,
        });
      const before = byPartition.get(partition);
      byPartition.set(partition, before === undefined ? position : later(before, position));
    }
    return byPartition;
  }
}

/** Where both writes are seen. */
function later(left: Position, right: Position): Position {
  const sequences = perLane((lane) => Math.max(left.sequences[lane], right.sequences[lane]));
  return { partition: left.partition, sequences };
}

function toResult(space: SpaceId, hit: RecallReply['hits'][number]): RecallResult {
  return {
    space,
    id: hit.id,
    score: hit.score,
    ...(hit.metadata === undefined ? {} : { metadata: JSON.parse(hit.metadata) as unknown }),
    ...(hit.embedding === undefined ? {} : { embedding: numbersOf(hit.embedding) }),
    ...(hit.timestamp === undefined ? {} : { timestamp: hit.timestamp }),
  };
}

export function numbersOf(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / 4 }, (_, i) => view.getFloat32(i * 4, true));
}

/** Distances rise and similarities fall with distance; equal ones are ordered by id. */
function sortNearestFirst(results: RecallResult[], configs: readonly SpaceConfig[]): void {
  const direction = configs[0]?.metric === 'l2' ? 1 : -1;
  results.sort(
    (left, right) =>
      direction * (left.score - right.score) ||
      (left.id < right.id ? -1 : left.id > right.id ? 1 : 0),
  );
}
