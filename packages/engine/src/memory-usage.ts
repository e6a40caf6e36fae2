import { readFileSync } from 'node:fs';
import { getHeapStatistics } from 'node:v8';

export interface MemoryUsage {
  /** Memory that only this process has: what its limits are about. */
  readonly privateBytes: number;
  /** All of its resident memory, with the pages of mapped files. */
  readonly rssBytes: number;
}

/**
 * What the process takes. Pages of mapped files are the page cache's, which the kernel takes back when
 * memory is short; where it does not tell them apart (not on Linux) they count as private.
 */
export function memoryUsage(): MemoryUsage {
  const rssBytes = process.memoryUsage.rss();
  if (process.platform !== 'linux') return { privateBytes: rssBytes, rssBytes };
  const status = readFileSync('/proc/self/status', 'utf8');
  const bytesOf = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return { privateBytes: bytesOf('RssAnon') + bytesOf('RssShmem'), rssBytes };
}

/** What one thread takes of it, by who allocated it. */
export interface ThreadMemory {
  /** The JavaScript heap, with what is free in it but not given back. */
  readonly heapBytes: number;
  /** Rows, ids and entries on their way: all that lies in array buffers, also what is not collected yet. */
  readonly bufferBytes: number;
}

/** Of the thread that calls. */
export function threadMemory(): ThreadMemory {
  const { total_physical_size: heap, malloced_memory: compiler } = getHeapStatistics();
  return { heapBytes: heap + compiler, bufferBytes: process.memoryUsage().arrayBuffers };
}
