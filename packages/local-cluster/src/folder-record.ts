import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError, systemCode } from './setup-error.ts';

/**
 * `<dataDir>/folder.json`: what a data folder keeps from one start to the next. Unlike the state
 * file it stays when the cluster ends.
 */
export interface FolderRecord {
  readonly partitionCount: number;
  readonly natsPort: number;
  readonly redisPort: number;
  /** Whether gateways wanted keys when that was last told; absent where it never was. */
  readonly wantsKeys?: boolean;
}

/** Undefined for a new folder, and for one whose file is not one of these. */
export function readFolderRecord(dataDir: string): FolderRecord | undefined {
  let text: string;
  try {
    text = readFileSync(recordPath(dataDir), 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  return parseFolderRecord(text);
}

function parseFolderRecord(text: string): FolderRecord | undefined {
  let value: Partial<FolderRecord> | null;
  try {
    value = JSON.parse(text) as Partial<FolderRecord> | null;
  } catch {
    return undefined; // not ours: it is always written whole
  }
  const { partitionCount, natsPort, redisPort, wantsKeys } = value ?? {};
  return isWhole(partitionCount) && isWhole(natsPort) && isWhole(redisPort)
    ? {
        partitionCount,
        natsPort,
        redisPort,
        ...(typeof wantsKeys === 'boolean' ? { wantsKeys } : {}),
      }
    : undefined;
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

/** Replaces the file as a whole: a crash never leaves half of it. */
export function writeFolderRecord(dataDir: string, record: FolderRecord): void {
  const path = recordPath(dataDir);
  const draft = `${path}.${process.pid}.draft`;
  writeFileSync(draft, `${JSON.stringify(record, null, 2)}\n`);
  renameSync(draft, path);
}

/**
 * The number of partitions of a folder: the one that it has, or for a new one what is asked for.
 * @throws SetupError PARTITIONS_DIFFER
 */
export function partitionCountOf(
  dataDir: string,
  record: FolderRecord | undefined,
  asked: number | undefined,
): number | undefined {
  if (record === undefined || asked === undefined || asked === record.partitionCount)
    return record?.partitionCount ?? asked;
  throw new SetupError(
    'PARTITIONS_DIFFER',
    `the data folder ${dataDir} was made with ${record.partitionCount} partitions, not with ${asked}`,
    { hint: 'leave ENGRAM_PARTITIONS out, or choose another folder with --data' },
  );
}

function recordPath(dataDir: string): string {
  return join(dataDir, 'folder.json');
}
