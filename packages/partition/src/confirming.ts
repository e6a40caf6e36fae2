import type { PartitionId } from '@engram/model';
import { newlyHeld, type Held } from './held.ts';
import type { ReaderOptions } from './options.ts';

/** Until what could not be asked is asked again. */
const AGAIN_MS = 1_000;

/**
 * Makes those that have caught up ready, or to be restored again where entries had gone.
 * @returns whether there were some
 */
export async function confirmCaughtUp(
  all: Map<PartitionId, Held>,
  { confirm, clock, logger }: Pick<ReaderOptions, 'confirm' | 'clock' | 'logger'>,
): Promise<boolean> {
  const caughtUp = [...all].flatMap(([partition, held]) =>
    held.phase.kind === 'caught-up' && held.phase.askAtMs <= clock.now()
      ? [{ partition, held, upTo: held.phase.upTo }]
      : [],
  );
  await Promise.all(
    caughtUp.map(async ({ partition, held, upTo }) => {
      try {
        const isWhole = await confirm(partition, upTo);
        if (all.get(partition) !== held) return; // it was lost meanwhile
        if (isWhole) held.phase = { kind: 'ready' };
        else all.set(partition, newlyHeld());
      } catch (error) {
        held.phase = { kind: 'caught-up', upTo, askAtMs: clock.now() + AGAIN_MS };
        logger.warn({ err: error, partition }, 'it is not known yet whether a partition is whole');
      }
    }),
  );
  return caughtUp.length > 0;
}
