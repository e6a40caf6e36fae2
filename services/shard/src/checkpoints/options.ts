import type { ShardEngine } from '@engram/engine';
import type { StreamState } from '@engram/log';
import type { MemberId, PartitionId } from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
import type { ShardMetrics } from '../metrics.ts';
import type { PartitionRecords } from './partition-records.ts';
import type { Restorer } from './restorer.ts';
import type { StorageHealth } from './storage-health.ts';
import type { Transfers } from './transfers.ts';

export interface CheckpointerOptions {
  readonly self: MemberId;
  readonly register: Pick<PartitionRecords, 'read' | 'write'>;
  readonly transfers: Pick<Transfers, 'save' | 'head' | 'remove' | 'names' | 'lost' | 'sweepCache'>;
  readonly restorer: Pick<Restorer, 'isUseless'>;
  readonly engine: { readonly checkpoints: Pick<ShardEngine['checkpoints'], 'take'> };
  /** The view says that this shard is to write the partition. */
  readonly isWriter: (partition: PartitionId) => boolean;
  /** Nobody is about to take the partition over, who would need its log. */
  readonly isSettled: (partition: PartitionId) => boolean;
  /** Of the log of a partition. */
  readonly logState: (partition: PartitionId) => Promise<StreamState>;
  /** False while it is not known whether the log still has what was applied. */
  readonly isLogSure: () => boolean;
  readonly trim: (partition: PartitionId, upTo: number) => Promise<void>;
  /** Partitions whose files are in use, or are being brought in. */
  readonly held: () => readonly PartitionId[];
  /** The log was trimmed beyond what this shard had applied: the partition must be restored again. */
  readonly onOvertaken: (partition: PartitionId) => void;
  /** A dirty partition is written so often at least … */
  readonly intervalMs: number;
  /** … and after so many bytes of entries. */
  readonly intervalBytes: number;
  readonly keepMs: number;
  readonly storage: Pick<StorageHealth, 'failed' | 'settled' | 'stored'>;
  readonly metrics: Pick<ShardMetrics, 'checkpoints' | 'trims'>;
  readonly clock: Clock;
  readonly logger: Logger;
}
