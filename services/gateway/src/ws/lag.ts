// How far behind the shards are that a session writes to, as a share of its credit.

import { lagText } from '@engram/admission';
import { partitionOf, type Lane, type SpaceId } from '@engram/model';
import { windowShare } from '@engram/session';
import type { SignalBoard } from '../admission/signal-board.ts';
import type { Router } from '../cluster/router.ts';

export interface Load {
  /** Of the usual credit, from 0 to 1. */
  readonly share: number;
  readonly reason: string;
  readonly detail: string;
}

export const NO_LOAD: Load = { share: 1, reason: 'none', detail: '' };

/** By the worst of the shards that serve the space, from what waits in the log and in them. */
export function lagOf(
  router: Pick<Router, 'candidates' | 'partitionCount'>,
  board: Pick<SignalBoard, 'of'>,
  space: SpaceId,
  lane: Lane,
): Load {
  const { ready } = router.candidates(partitionOf(space, router.partitionCount));
  let worst = NO_LOAD;
  for (const shard of ready) {
    const signal = board.of(shard)?.lanes[lane];
    if (signal === undefined) continue;
    const { cause, waiting, lagMs, drainRate, spaces } = signal;
    // One that has more waiting than is fair goes on batch by batch.
    const own = spaces.get(space);
    const share = own === undefined ? windowShare(signal.fill) : 0;
    if (share >= worst.share) continue;
    if (own !== undefined) {
      const detail = `${own.waiting} observations of this space wait for ${shard}, more than is fair to others`;
      worst = { share, reason: 'share', detail };
      continue;
    }
    const detail = `${waiting} observations wait for ${shard}, which takes ${lagText(lagMs)}: ${drainRate} are applied in a second`;
    worst = { share, reason: cause === 'none' ? 'lag' : cause, detail };
  }
  return worst;
}
