import type { EngramClient } from '@engram/client';
import { until } from '../support/until.ts';

/** So many shards own something, and everything is where the ring has it. */
export async function whenServed(
  client: EngramClient,
  shards: number,
  deadlineMs: number,
): Promise<void> {
  await until(
    `${shards} shards serve every partition`,
    async () => {
      const { members, partitions, moves } = await client.ring();
      const owning = members.filter(({ role, owned = 0 }) => role === 'shard' && owned > 0);
      return (
        owning.length === shards &&
        moves.length === 0 &&
        partitions.every(({ owners, ready }) => owners.every((id) => ready.includes(id)))
      );
    },
    deadlineMs,
  );
}
