import type { ShardEngine } from '@engram/engine';
import { LANES, type Lane } from '@engram/model';
import type { EntryCounts } from './entry-counts.ts';

/** Messages that a lane takes, or, for replays, that any lane takes. */
export function roomOf(
  engine: ShardEngine,
  counts: EntryCounts,
  lane: Lane | undefined,
): { messages: number; bytes: number } {
  // A replay must go on where new entries of the lane low have to wait.
  const rooms = (lane === undefined ? LANES : [lane]).map((each) =>
    engine.room(each, { isReplay: lane === undefined }),
  );
  const observations = Math.min(...rooms.map((room) => room.observations));
  return {
    messages: Math.ceil(observations / counts.mean),
    bytes: Math.min(...rooms.map(({ bytes }) => bytes)),
  };
}
