import { isToken, type MemberId, type PartitionId } from '@engram/model';
import { decodeHost, type HostProcess } from './predecessor.ts';
import type { RegistryEntry } from './registry.ts';

export type Role = 'gateway' | 'shard';

/** What a member says of itself with every heartbeat. */
export interface Member {
  readonly id: MemberId;
  readonly role: Role;
  /** Made anew at each start of the process. */
  readonly incarnation: string;
  /** A leaving shard serves what it has and is given no more. */
  readonly state: 'active' | 'leaving';
  readonly url: string;
  readonly startedAt: string;
  /** Absent where processes cannot be told apart. */
  readonly process?: HostProcess | undefined;
  /** Copies of each partition that its settings ask for. */
  readonly replication: number;
  /** Partitions whose log this shard has applied, so that it may answer for them. */
  readonly ready: ReadonlySet<PartitionId>;
}

/** The record in the registry: readable JSON, the partitions as a hexadecimal bit set. */
export function encodeMember({ id: _id, ready, ...rest }: Member): string {
  let bits = 0n;
  for (const partition of ready) bits |= 1n << BigInt(partition);
  return JSON.stringify({ ...rest, ready: bits.toString(16) });
}

/** Undefined for a record that no member of this version wrote: it takes no part in the ring. */
export function decodeMember({ id, record }: RegistryEntry): Member | undefined {
  if (!isToken(id)) return undefined;
  try {
    const value: unknown = JSON.parse(record);
    if (typeof value !== 'object' || value === null) return undefined;
    const { ready, replication, ...rest } = value as Readonly<Record<string, unknown>>;
    const { role, incarnation, state, url, startedAt } = rest;
    if (role !== 'gateway' && role !== 'shard') return undefined;
    if (state !== 'active' && state !== 'leaving') return undefined;
    if (typeof ready !== 'string' || !/^[0-9a-f]{1,16384}$/.test(ready)) return undefined;
    return {
      id,
      role,
      state,
      incarnation: String(incarnation),
      url: String(url),
      startedAt: String(startedAt),
      process: decodeHost(rest['process']),
      // Members of before there were copies say nothing of them.
      replication: isCount(replication) ? replication : 1,
      ready: decodeBits(ready),
    };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function decodeBits(hex: string): Set<PartitionId> {
  const set = new Set<PartitionId>();
  let bits = BigInt(`0x${hex}`);
  for (let partition = 0; bits !== 0n; partition++, bits >>= 1n)
    if ((bits & 1n) === 1n) set.add(partition as PartitionId);
  return set;
}
