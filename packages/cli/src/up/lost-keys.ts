import { readFolderRecord } from '@engram/local-cluster';
import type { UpSettings } from './settings.ts';

/**
 * What to tell who starts a cluster without the keys that it had: who meant to keep others out is not
 * to let them in by a variable that is not set. Undefined where keys are there, or auth is off by name.
 */
export function lostKeysText(
  dataDir: string,
  { wantsKeys }: Pick<UpSettings, 'wantsKeys'>,
): string | undefined {
  if (wantsKeys !== undefined || !hadKeys(dataDir)) return undefined;
  return (
    `the cluster on ${dataDir} had keys, and starts without: everybody on this machine may do everything\n` +
    '  give ENGRAM_API_KEYS_FILE again, or set ENGRAM_AUTH=off where that is meant'
  );
}

function hadKeys(dataDir: string): boolean {
  try {
    return readFolderRecord(dataDir)?.wantsKeys === true;
  } catch {
    return false; // the start says what is wrong with the folder
  }
}
