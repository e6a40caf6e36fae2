import type { PartitionId } from '@engram/model';
import { newlyHeld, type Held } from './held.ts';
import type { ReaderOptions } from './options.ts';

/**
 * Makes those that have caught up ready, or to be restored again where entries had gone.
 * @returns whether there were some
 */
export async function confirmCaughtUp(
  all: Map<PartitionId, Held>,
  confirm: ReaderOptions['confirm'],
): Promise<boolean> {
  const caughtUp = [...all].flatMap(([partition, held]) =>
    held.phase.kind === 'caught-up' ? [{ partition, held, upTo: held.phase.upTo }] : [],
  );
  await Promise.all(
    caughtUp.map(async ({ partition, held, upTo }) => {
      const isWhole = await confirm(partition, upTo);
      if (all.get(partition) !== held) return; // it was lost meanwhile
      if (isWhole) held.phase = { kind: 'ready' };
      else all.set(partition, newlyHeld());
    }),
  );
  return caughtUp.length > 0;
}
