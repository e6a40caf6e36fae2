/** What decides whether a shard that has started is ready. */
export interface ShardState {
  readonly isLogConnected: boolean;
  /** Since the registry last renewed the lease. */
  readonly leaseAgeMs: number;
  readonly leaseTtlMs: number;
  /** The lease had run out, and nothing was ready since. */
  readonly isExpelled: boolean;
  /** Partitions that the ring gives to it. */
  readonly owned: number;
  readonly held: number;
  readonly ready: number;
}

/** Why a shard is not ready; undefined when it is. */
export function unreadyReason(state: ShardState): string | undefined {
  if (!state.isLogConnected) return 'NATS is away';
  if (state.leaseAgeMs > state.leaseTtlMs)
    return 'the lease is over: Redis has not renewed it in time';
  const partitions = Math.max(state.owned, state.held);
  if (partitions === 0 || state.ready > 0) return undefined;
  const none = `none of ${partitions} partitions is ready yet`;
  return state.isExpelled ? `the lease had run out, and ${none}` : none;
}
