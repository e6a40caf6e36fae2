// Whether memory is short. Pure: up at once, down only when there is some room again, so that a
// process at its limit does not flap.

/** `soft`: seal, unload, compact, refuse the lane low. `hard`: refuse all but deletes. */
export type MemoryState = 'normal' | 'soft' | 'hard';

export interface MemoryLimits {
  readonly softBytes: number;
  readonly hardBytes: number;
}

/** A state ends below this share of the limit that began it. */
const RELEASE_SHARE = 0.95;

export function nextMemoryState(
  state: MemoryState,
  bytes: number,
  { softBytes, hardBytes }: MemoryLimits,
): MemoryState {
  if (bytes >= hardBytes || (state === 'hard' && bytes >= hardBytes * RELEASE_SHARE)) return 'hard';
  if (bytes >= softBytes || (state !== 'normal' && bytes >= softBytes * RELEASE_SHARE))
    return 'soft';
  return 'normal';
}
