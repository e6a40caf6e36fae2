// Recalls as they come over the wire, and hits as they go.

import { embeddingBytes, embeddingOf, type Include, type WireHit } from '@engram/codec';
import { compileFilter, perLane } from '@engram/model';
import type { Hit, RecallQuery, SpaceEngine, StoredObservation } from '@engram/space-engine';
import type { RecallAnswer, RecallTask } from '../protocol.ts';

/** Of what is read in pages; a message of NATS may have 1 MiB. */
const PAGE_BYTES = 256 * 1024;

export function queryOf({ embedding, k, ef, exact, filter, asOf }: RecallTask): RecallQuery {
  return {
    embedding: embeddingOf(embedding),
    k,
    ...(ef === undefined ? {} : { ef }),
    ...(exact === undefined ? {} : { exact }),
    ...(filter === undefined
      ? {}
      : { filter: { key: JSON.stringify(filter), predicate: compileFilter(filter) } }),
    ...(asOf === undefined ? {} : { asOf }),
  };
}

export function toWire(
  row: StoredObservation | Hit,
  score: number,
  include: readonly Include[],
): WireHit {
  return {
    id: row.id,
    score,
    ...(include.includes('metadata') && row.metadata !== undefined
      ? { metadata: row.metadata }
      : {}),
    ...(include.includes('embedding') ? { embedding: embeddingBytes(row.embedding) } : {}),
    ...(include.includes('timestamp') && !Number.isNaN(row.timestamp)
      ? { timestamp: row.timestamp }
      : {}),
  };
}

/** The pages of a streamed recall. */
export async function* recallPages(
  engine: SpaceEngine,
  task: RecallTask,
): AsyncGenerator<RecallAnswer, undefined> {
  for await (const hits of engine.recallPages(queryOf(task), PAGE_BYTES))
    yield hits.map((hit) => toWire(hit, hit.score, task.include));
  return undefined;
}

/** The pages of a listing of all ids. */
export async function* idPages(
  engine: SpaceEngine,
  asOf: number,
): AsyncGenerator<RecallAnswer, undefined> {
  for await (const ids of engine.idPages(
    perLane(() => asOf),
    PAGE_BYTES,
  ))
    yield ids.map(({ id, sequence }) => ({ id, score: 0, sequence }));
  return undefined;
}
