import type { ClusterError, PartitionId } from '@engram/model';
import { quarantined, type Applied } from './entry.ts';

/**
 * Entries that ended their thread, by partition and sequence. A replay brings such an entry again, and it
 * would end its thread again.
 */
export class Quarantine {
  readonly #entries = new Map<PartitionId, Map<number, Applied>>();

  get(partition: PartitionId, sequence: number): Applied | undefined {
    return this.#entries.get(partition)?.get(sequence);
  }

  add(partition: PartitionId, sequence: number, error: ClusterError): Applied {
    const applied = quarantined(error);
    const ofPartition = this.#entries.get(partition) ?? new Map<number, Applied>();
    this.#entries.set(partition, ofPartition.set(sequence, applied));
    return applied;
  }

  forget(partition: PartitionId): void {
    this.#entries.delete(partition);
  }
}
