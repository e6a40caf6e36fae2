import type { ServerBinary } from '@engram/local-cluster';
import type { Figure } from './figures/figure.ts';

export interface Servers {
  readonly nats: ServerBinary;
  readonly redis: ServerBinary;
}

/** What every group is given. */
export interface GroupContext {
  /** Observations to import. */
  readonly words: number;
  readonly repetitions: number;
  readonly isQuick: boolean;
  readonly servers: Servers;
  /** Ends the group; what it has started is closed all the same. */
  readonly signal: AbortSignal;
  /** Tells the person at the terminal what goes on. */
  readonly progress: (text: string) => void;
}

export interface ReportTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Beside the JSON of a full run as a file, and in the report. */
interface Picture {
  /** Of the file, without `.svg`. */
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

export interface GroupReport {
  readonly tables: readonly ReportTable[];
  readonly pictures?: readonly Picture[];
  /** How the numbers are to be read. */
  readonly notes: readonly string[];
  /** What later runs are compared by (`--baseline`). */
  readonly figures?: readonly Figure[];
  /** For the JSON file: settings and raw samples. */
  readonly data: object;
}

/** One file in groups/ each. */
export interface Group {
  readonly name: string;
  readonly title: string;
  run(context: GroupContext): Promise<GroupReport>;
}
