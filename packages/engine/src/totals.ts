import type { MemoryState } from './memory-guard.ts';
import type { MemoryUsage, ThreadMemory } from './memory-usage.ts';
import type { TickAnswer } from './protocol.ts';

type Summed = Omit<TickAnswer, 'faults' | keyof ThreadMemory>;

/** All workers together, and the process. */
export interface EngineTotals extends Summed, MemoryUsage {
  readonly memory: MemoryState;
  readonly components: MemoryComponents;
}

/** The process's private memory by what has it: counted, not taken from the kernel. */
export interface MemoryComponents {
  /** Code, stacks and native libraries: what there was besides when the engine was started. */
  readonly runtime: number;
  readonly heaps: number;
  readonly buffers: number;
  readonly graphs: number;
}

/**
 * @param own of the main thread
 * @param runtime see `MemoryComponents`
 */
export function totalsOf(
  ticked: readonly TickAnswer[],
  own: ThreadMemory,
  runtime: number,
): Summed & { readonly components: MemoryComponents } {
  const sum = (of: (answer: TickAnswer) => number) =>
    ticked.reduce((total, answer) => total + of(answer), 0);
  const graphs = sum(({ graphBytes }) => graphBytes);
  return {
    loaded: sum(({ loaded }) => loaded),
    unloaded: sum(({ unloaded }) => unloaded),
    observations: sum(({ observations }) => observations),
    backlog: sum(({ backlog }) => backlog),
    bytes: sum(({ bytes }) => bytes),
    graphBytes: graphs,
    mappedBytes: sum(({ mappedBytes }) => mappedBytes),
    segments: sum(({ segments }) => segments),
    components: {
      runtime,
      heaps: own.heapBytes + sum(({ heapBytes }) => heapBytes),
      buffers: own.bufferBytes + sum(({ bufferBytes }) => bufferBytes),
      graphs,
    },
  };
}
