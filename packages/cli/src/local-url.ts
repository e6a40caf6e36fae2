import { isRunning, readClusterState } from '@engram/local-cluster';

/** Where `up` keeps a cluster unless it is told otherwise, from the current folder. */
export const DEFAULT_DATA = '.engram';

/** What a command needs to find the cluster on a folder. */
export function dataOption(dataDir: string): string {
  return dataDir === DEFAULT_DATA ? '' : ` --data ${dataDir}`;
}

/** The first gateway of the cluster that runs on the current folder's data, if one does. */
export function localUrl(dataDir = DEFAULT_DATA): string | undefined {
  const state = readClusterState(dataDir);
  if (state === undefined || !isRunning(state.supervisor)) return undefined;
  return state.members
    .filter(({ role, url }) => role === 'gateway' && url !== undefined)
    .toSorted((left, right) => left.id.localeCompare(right.id, 'en', { numeric: true }))[0]?.url;
}
