import type { WireHit } from '@engram/codec';
import type { SpaceConfig, SpaceId } from '@engram/model';

export interface RecallResult {
  readonly space: SpaceId;
  readonly id: string;
  readonly score: number;
  readonly metadata?: unknown;
  readonly embedding?: number[];
  readonly timestamp?: number;
}

export function toResult(space: SpaceId, hit: WireHit): RecallResult {
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
export function nearestFirst(
  configs: readonly SpaceConfig[],
): (left: RecallResult, right: RecallResult) => number {
  const direction = configs[0]?.metric === 'l2' ? 1 : -1;
  return (left, right) =>
    direction * (left.score - right.score) ||
    (left.id < right.id ? -1 : left.id > right.id ? 1 : 0);
}
