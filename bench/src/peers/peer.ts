// What a user could take instead of a cluster of ours, behind one small interface, ours among them.

import type { GroupContext } from '../group.ts';
import type { Vectors } from '../vectors.ts';
import type { SearchLoad, SearchTally } from './search-load.ts';

/** How hard a peer searches; the fields are those that it knows. */
export interface SearchSetting {
  readonly label: string;
  /** Candidates that a graph keeps while it is searched. */
  readonly ef: number;
  /** Parts of a partitioned index that are searched. */
  readonly probes?: number;
  /** Times as many candidates as asked for are scored again with the stored embeddings. */
  readonly refine?: number;
}

/** The rows, best first, of one query. */
export type Search = (query: Float32Array, setting: SearchSetting) => Promise<readonly number[]>;

export interface Peer {
  readonly name: string;
  /** How it takes and keeps what is written, and what an acknowledgement of it says. */
  readonly terms: string;
  /** The narrowest first. */
  readonly settings: readonly SearchSetting[];
  /** Measured in each repetition; others once, because they take long or nothing is compared with them. */
  readonly isRepeated: boolean;
  /** Why it cannot run here; undefined when it can. */
  absence(): string | undefined;
  /** Starts it, empty. Its processes have ended and its folder is gone when this resolves, however it ended. */
  whileRunning<T>(context: PeerContext, measure: (running: Running) => Promise<T>): Promise<T>;
}

export type PeerContext = Pick<GroupContext, 'servers' | 'signal'> & { readonly vectors: Vectors };

/** Bytes on the disk. */
export interface Disk {
  /** Embeddings and graphs as they are opened again. */
  readonly storeBytes: number;
  /** A log beside them; 0 where the log is the store. */
  readonly logBytes: number;
}

export interface Running {
  /** All processes that do its work but this one: they change when it is started again. */
  pids(): readonly number[];
  /** Those of them that hold the rows, where not all do. */
  storePids(): readonly number[];
  /** Writes all rows: acknowledged, searchable and in the graph when it resolves. */
  load(): Promise<void>;
  /** The same once more, beside them: with code that is compiled and memory that is there. */
  loadAgain?(): Promise<void>;
  ask(load: SearchLoad): Promise<SearchTally>;
  disk(): Promise<Disk>;
  /** Has written what makes the next start short, as it does by itself now and then. */
  rest(): Promise<void>;
  /** SIGKILL to what holds the rows; it has ended when this resolves. */
  kill(): Promise<void>;
  /** Starts that again. It may not answer yet when this resolves. */
  start(): Promise<void>;
}

/** @throws the signal's reason as soon as it is aborted, whatever is still under way */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  // What it fails with later, because its processes are ended, is of no interest then.
  work.catch(() => undefined);
  signal.throwIfAborted();
  const ended = new AbortController();
  const aborted = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), {
      once: true,
      signal: ended.signal,
    }),
  );
  try {
    return await Promise.race([work, aborted]);
  } finally {
    ended.abort();
  }
}
