// Recalls as they come over the wire, and hits as they go.

import { embeddingBytes, embeddingOf, type Include, type WireHit } from '@engram/codec';
import { compileFilter } from '@engram/model';
import type { Hit, RecallQuery, StoredObservation } from '@engram/space-engine';
import type { RecallTask } from '../protocol.ts';

export function queryOf({ embedding, k, ef, filter, asOf }: RecallTask): RecallQuery {
  return {
    embedding: embeddingOf(embedding),
    k,
    ...(ef === undefined ? {} : { ef }),
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
