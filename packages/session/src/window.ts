import type { Credit } from './message.ts';

export interface WindowLimits {
  /** While nothing presses. */
  readonly most: Credit;
  /** However much it presses: one batch of the largest size, or nobody could go on. */
  readonly least: Credit;
}

/** Up to this share of what a lane may hold nothing presses. */
const FREE_SHARE = 0.5;

/**
 * The share of the usual window where so much is filled: all of it up to a half, then less and less, and
 * nothing where all is full.
 */
export function windowShare(fill: number): number {
  return Math.min(1, Math.max(0, (1 - fill) / (1 - FREE_SHARE)));
}

/** What may be unanswered at a time, at a share from 0 to 1. */
export function windowOf(share: number, { most, least }: WindowLimits): Credit {
  const part = (key: keyof Credit) => Math.max(least[key], Math.floor(most[key] * share));
  return { items: part('items'), bytes: part('bytes') };
}
