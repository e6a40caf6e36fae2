import { decodeFrame, encodeBatch, readItems, type BodyKind, type Frame } from '@engram/codec';
import {
  ClusterError,
  type ItemError,
  type PartitionId,
  type SpaceConfig,
  type SpaceId,
} from '@engram/model';
import { SpaceEngine } from '@engram/space-engine';
import { GRAPH_ENGINES } from '@engram/vector-index';
import type { ApplyAnswer } from './protocol.ts';

/** The spaces of one worker thread. */
export class SpaceTable {
  readonly #engines = new Map<SpaceId, { engine: SpaceEngine; partition: PartitionId }>();
  /** Spaces with rows that wait for the graph. */
  readonly #building = new Set<SpaceEngine>();

  /** The engine of a space; a space that was deleted and made again starts empty. */
  engine(config: SpaceConfig, partition?: PartitionId): SpaceEngine {
    const known = this.#engines.get(config.space);
    if (known !== undefined && known.engine.config.afterSequence >= config.afterSequence)
      return known.engine;
    if (known !== undefined) this.drop(config.space);
    const engine = new SpaceEngine(config, GRAPH_ENGINES[config.engine]);
    // A question about a space without entries must not leave an engine behind.
    if (partition !== undefined) this.#engines.set(config.space, { engine, partition });
    return engine;
  }

  apply(
    config: SpaceConfig,
    partition: PartitionId,
    sequence: number,
    kind: BodyKind,
    bytes: Uint8Array<ArrayBuffer>,
  ): ApplyAnswer {
    const engine = this.engine(config, partition);
    const errors: ItemError[] = [];
    let applied = 0;
    let stale = 0;
    try {
      for (const { frame, indices } of framesOf(kind, bytes, config, errors)) {
        const result = engine.apply(frame, sequence);
        applied += result.applied;
        stale += result.stale;
        for (const error of result.errors)
          errors.push({ ...error, index: indices?.[error.index] ?? error.index });
      }
    } catch (error) {
      const { code, message } = ClusterError.from(error);
      // Whatever an entry does to us, it is set aside: a shard that ends on it would meet it again.
      const detail = code === 'INTERNAL' ? String(error) : message;
      errors.push({ index: 0, code, detail });
    }
    if (!engine.isIndexed) this.#building.add(engine);
    return { applied, stale, errors, ...(errors.length === 0 ? {} : { bytes }) };
  }

  /** A slice of graph building for the spaces that need it, in turn. @returns whether more waits */
  build(shouldStop: () => boolean): boolean {
    for (const engine of this.#building) {
      this.#building.delete(engine);
      if (engine.buildGraph(shouldStop)) this.#building.add(engine); // to the end of the set
      if (shouldStop()) break;
    }
    return this.#building.size > 0;
  }

  drop(space: SpaceId): void {
    const known = this.#engines.get(space);
    if (known === undefined) return;
    this.#building.delete(known.engine);
    this.#engines.delete(space);
  }

  dropPartitions(partitions: readonly PartitionId[]): void {
    const gone = new Set(partitions);
    for (const [space, { partition }] of this.#engines) if (gone.has(partition)) this.drop(space);
  }

  /** Lets the spaces forget deletes that nothing older can come after. */
  prune(upTo: ReadonlyMap<PartitionId, number>): void {
    for (const { engine, partition } of this.#engines.values()) {
      const sequence = upTo.get(partition);
      if (sequence !== undefined) engine.pruneTombstones(sequence);
    }
  }

  get totals(): { spaces: number; observations: number } {
    let observations = 0;
    for (const { engine } of this.#engines.values()) observations += engine.stats.count;
    return { spaces: this.#engines.size, observations };
  }
}

/** @throws ClusterError when the message as a whole is refused */
function* framesOf(
  kind: BodyKind,
  bytes: Uint8Array,
  config: SpaceConfig,
  errors: ItemError[],
): Generator<{ readonly frame: Frame; readonly indices?: readonly number[] }> {
  if (kind === 'frame') {
    yield { frame: decodeFrame(bytes) };
    return;
  }
  const items = readItems(kind, bytes);
  const batch = encodeBatch(items, {
    dimension: config.dimension,
    metric: config.metric,
    lanePerItem: false,
    frameBytesMax: Number.MAX_SAFE_INTEGER,
  });
  errors.push(...batch.errors);
  const refused = new Set(batch.errors.map(({ index }) => index));
  const indices = items.map((_, index) => index).filter((index) => !refused.has(index));
  for (const frame of batch.frames) yield { frame: decodeFrame(frame.bytes), indices };
}
