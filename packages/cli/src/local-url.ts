import { isRunning, readClusterState, type ClusterState } from '@engram/local-cluster';

/** Where `up` keeps a cluster unless it is told otherwise, from the current folder. */
export const DEFAULT_DATA = '.engram';

/** What a command needs to find the cluster on a folder. */
export function dataOption(dataDir: string): string {
  return dataDir === DEFAULT_DATA ? '' : ` --data ${dataDir}`;
}

/** What runs on a folder; undefined where nothing does. */
export function runningCluster(dataDir = DEFAULT_DATA): ClusterState | undefined {
  const state = readClusterState(dataDir);
  return state !== undefined && isRunning(state.supervisor) ? state : undefined;
}

/** The first gateway of the cluster that runs on the current folder's data, if one does. */
export function localUrl(dataDir = DEFAULT_DATA): string | undefined {
  return runningCluster(dataDir)
    ?.members.filter(({ role, url }) => role === 'gateway' && url !== undefined)
    .toSorted((left, right) => left.id.localeCompare(right.id, 'en', { numeric: true }))[0]?.url;
}
