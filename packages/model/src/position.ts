import { ClusterError } from './errors.ts';
import type { PartitionId } from './ids.ts';
import { LANES, type Lane, type PerLane } from './lane.ts';

/**
 * How far a partition's log must be applied for a write to be seen: the highest sequence of the
 * write in each lane, 0 where it has none. Lanes overtake each other, so one number is not enough.
 */
export interface Position {
  readonly partition: PartitionId;
  readonly sequences: PerLane<number>;
}

const TOKEN = /^(\d{1,5})-(\d{1,16})\.(\d{1,16})\.(\d{1,16})$/;

/** The opaque token by which clients hold a position. */
export function formatPosition({ partition, sequences }: Position): string {
  return `${partition}-${LANES.map((lane) => sequences[lane]).join('.')}`;
}

/** @throws ClusterError INVALID_POSITION */
export function parsePosition(token: unknown, pointer: string): Position {
  const match = typeof token === 'string' ? TOKEN.exec(token) : null;
  const numbers = match?.slice(1).map(Number);
  if (numbers === undefined || !numbers.every(Number.isSafeInteger))
    throw new ClusterError('INVALID_POSITION', 'a position is the token that a write answered', {
      pointer,
    });
  const [partition, high, normal, low] = numbers as [number, number, number, number];
  return { partition: partition as PartitionId, sequences: { high, normal, low } };
}

/** The position that covers a write's entries. */
export function positionOf(
  partition: PartitionId,
  entries: Iterable<{ readonly lane: Lane; readonly sequence: number }>,
): Position {
  const sequences = { high: 0, normal: 0, low: 0 };
  for (const { lane, sequence } of entries)
    if (sequence > sequences[lane]) sequences[lane] = sequence;
  return { partition, sequences };
}

/** The token that covers two others of one partition. @throws ClusterError INVALID_POSITION */
export function latestPosition(
  left: string | undefined,
  right: string | undefined,
): string | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  const { partition, sequences } = parsePosition(left, '');
  const other = parsePosition(right, '').sequences;
  const entries = [sequences, other].flatMap((each) =>
    LANES.map((lane) => ({ lane, sequence: each[lane] })),
  );
  return formatPosition(positionOf(partition, entries));
}
