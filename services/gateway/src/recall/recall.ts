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
import type { Span } from '@engram/tracing';
import type { Answered } from '../cluster/first-good.ts';
import type { Router } from '../cluster/router.ts';
import { RecallStream, SpacePages } from './recall-stream.ts';
import { nearestFirst, toResult, type RecallResult } from './results.ts';

export interface RecallOptions {
  readonly router: Router;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

export interface RecallQuery {
  readonly embedding: Float32Array;
  readonly k: number;
  readonly ef?: number;
  /** Every observation is scored. */
  readonly exact: boolean;
  readonly filter?: unknown;
  readonly include: readonly Include[];
  /** Of the writes that must be seen; the latest of each partition counts. */
  readonly minPositions: readonly Position[];
  /** Nothing newer is seen; of every partition that is asked, or empty. */
  readonly asOf: readonly Position[];
  readonly waitMs: number;
  /** Whether an answer that lacks some space is an answer. */
  readonly allowPartial: boolean;
  readonly span?: Span | undefined;
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
   * @throws ClusterError POSITION_NOT_REACHED, INVALID_*; PARTITION_UNAVAILABLE or LOG_UNAVAILABLE where
   *   no space answered, and where one did not unless partial answers are allowed
   */
  async recall(configs: readonly SpaceConfig[], query: RecallQuery): Promise<RecallAnswer> {
    const { clock } = this.#options;
    const startedAt = clock.now();
    const { asked, watermarks, reasons } = judge(configs, query, await this.#ask(configs, query));
    const results = asked.flatMap(({ config, reply }) =>
      reply.hits.map((hit) => toResult(config.space, hit)),
    );
    results.sort(nearestFirst(configs));
    return {
      results: results.slice(0, query.k),
      shards: {
        asked: configs.length,
        answered: asked.length,
        ids: [...new Set(asked.map(({ shard }) => shard))],
      },
      watermarks,
      degraded: reasons.length > 0,
      reasons,
      tookMs: Math.round((clock.now() - startedAt) * 1000) / 1000,
    };
  }

  /**
   * The same in increments. Resolves once every space has answered its first page; the caller closes it.
   * @throws ClusterError as `recall` does
   */
  async stream(configs: readonly SpaceConfig[], query: RecallQuery): Promise<RecallStream> {
    const { router, timeoutMs, clock } = this.#options;
    const startedAt = clock.now();
    const outcomes = await this.#ask(configs, query, true);
    const pages = new Map<SpaceId, SpacePages>();
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'rejected') continue;
      const config = configs[index]!;
      pages.set(config.space, new SpacePages(router, config, timeoutMs, outcome.value));
    }
    try {
      const { asked, watermarks, reasons } = judge(configs, query, outcomes);
      return new RecallStream({
        spaces: asked.map(({ config }) => pages.get(config.space)!),
        compare: nearestFirst(configs),
        k: query.k,
        watermarks,
        reasons,
        startedAt,
        clock,
      });
    } catch (error) {
      for (const each of pages.values()) each.close();
      throw error;
    }
  }

  /** @throws ClusterError OBSERVATION_NOT_FOUND, PARTITION_UNAVAILABLE */
  async get(
    config: SpaceConfig,
    id: string,
    minPosition: string | undefined,
    waitMs: number,
    span?: Span,
  ): Promise<NonNullable<GetReply['found']> & { readonly watermark: string }> {
    const body: GetRequest = {
      config,
      id,
      ...(minPosition === undefined ? {} : { minPosition }),
      waitMs,
    };
    const { router, timeoutMs } = this.#options;
    const { reply } = await router.ask<GetReply>(config, {
      method: 'get',
      body,
      timeoutMs,
      waitMs: minPosition === undefined ? 0 : waitMs,
      span,
    });
    if (reply.found !== undefined) return { ...reply.found, watermark: reply.watermark };
    // A shard that still reads the log cannot know that there is none.
    if (!reply.isReady)
      throw new ClusterError('PARTITION_UNAVAILABLE', 'the shard is still reading the log', {
        hint: 'try again in a few seconds',
      });
    throw new ClusterError(
      'OBSERVATION_NOT_FOUND',
      `the space has no observation ${JSON.stringify(id)}`,
      {
        pointer: '#id',
        hint: 'after a write, read with ?minPosition= and the position that the write answered',
      },
    );
  }

  async stats(
    config: SpaceConfig,
  ): Promise<{ readonly shard: MemberId; readonly reply: StatsReply }> {
    const { router, timeoutMs } = this.#options;
    return router.ask<StatsReply>(config, {
      method: 'stats',
      body: { config },
      timeoutMs,
      waitMs: 0,
    });
  }

  /** Each space's answer, or why there is none. @throws ClusterError INVALID_POSITION */
  async #ask(
    configs: readonly SpaceConfig[],
    query: RecallQuery,
    stream = false,
  ): Promise<PromiseSettledResult<Answered<RecallReply>>[]> {
    const { router, timeoutMs } = this.#options;
    const positions = this.#byPartition(configs, query.minPositions, '/minPosition');
    const snapshots = this.#byPartition(configs, query.asOf, '/asOf');
    return Promise.allSettled(
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
          ...(query.exact ? { exact: true } : {}),
          ...(query.filter === undefined ? {} : { filter: query.filter }),
          include: query.include,
          ...(minPosition === undefined ? {} : { minPosition: formatPosition(minPosition) }),
          ...(asOf === undefined ? {} : { asOf: formatPosition(asOf) }),
          waitMs: query.waitMs,
          ...(stream ? { stream } : {}),
        };
        const waits = minPosition !== undefined || asOf !== undefined;
        return router.ask<RecallReply>(config, {
          method: 'recall',
          body,
          timeoutMs,
          waitMs: waits ? query.waitMs : 0,
          isLong: query.exact,
          span: query.span,
          ...(stream
            ? { onUnused: (unused) => new SpacePages(router, config, timeoutMs, unused).close() }
            : {}),
        });
      }),
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

interface Judged {
  /** The spaces that answered. */
  readonly asked: readonly ({ readonly config: SpaceConfig } & Answered<RecallReply>)[];
  readonly watermarks: Record<string, string>;
  readonly reasons: string[];
}

/**
 * @throws ClusterError what a shard said; PARTITION_UNAVAILABLE or LOG_UNAVAILABLE where no space answered,
 * and where one did not unless partial answers are allowed
 */
function judge(
  configs: readonly SpaceConfig[],
  { allowPartial }: RecallQuery,
  outcomes: readonly PromiseSettledResult<Answered<RecallReply>>[],
): Judged {
  const asked: ({ readonly config: SpaceConfig } & Answered<RecallReply>)[] = [];
  const watermarks: Record<string, string> = {};
  const reasons: string[] = [];
  let absence: ClusterError | undefined;
  for (const [index, outcome] of outcomes.entries()) {
    const config = configs[index]!;
    const { space } = config;
    if (outcome.status === 'rejected') {
      const error = ClusterError.from(outcome.reason);
      const isAbsent = error.code === 'PARTITION_UNAVAILABLE' || error.code === 'LOG_UNAVAILABLE';
      if (!isAbsent || !allowPartial) throw error;
      reasons.push(`${space}: ${error.message}`);
      absence ??= error;
      continue;
    }
    const { shard, reply } = outcome.value;
    asked.push({ config, shard, reply });
    watermarks[space] = reply.watermark;
    if (reply.isReady) continue;
    const reason = `${space}: ${shard} is still reading the log`;
    if (!allowPartial) throw new ClusterError('PARTITION_UNAVAILABLE', reason);
    reasons.push(reason);
  }
  // A part may be an answer; nothing at all would look like a space where nothing is similar.
  if (absence !== undefined && asked.length === 0) throw absence;
  return { asked, watermarks, reasons };
}
