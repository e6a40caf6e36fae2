import type { MemberId } from '@engram/model';

/** The shards that may own partitions, and the number under which they were announced. */
export interface View {
  /** Rises with every change of `shards`. */
  readonly epoch: number;
  /** In ascending order, each once. */
  readonly shards: readonly MemberId[];
}
