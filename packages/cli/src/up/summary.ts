import { join, relative, resolve } from 'node:path';
import type { LocalCluster } from '@engram/local-cluster';
import colors from 'picocolors';
import { invocation } from '../format.ts';
import { DEFAULT_DATA } from '../local-url.ts';

/** What `up` tells about a cluster that is ready; with `--json` it is the output. */
export interface UpSummary {
  readonly url: string;
  readonly docs: string;
  readonly console: string;
  readonly metrics: string;
  readonly cluster: string;
  readonly nats: string;
  readonly redis: string;
  readonly gateways: readonly string[];
  readonly shards: readonly string[];
  readonly dataDir: string;
  readonly supervisor: number;
  /** Whether gateways want to know who asks. */
  readonly wantsKeys: boolean;
}

export function summaryOf(cluster: LocalCluster, wantsKeys: boolean): UpSummary {
  const { url } = cluster;
  return {
    url,
    docs: `${url}/docs`,
    console: `${url}/console`,
    metrics: `${url}/metrics`,
    cluster: `${url}/v1/cluster`,
    nats: cluster.nats.url,
    redis: cluster.redis.url,
    gateways: cluster.gateways.map((gateway) => gateway.url),
    shards: cluster.shards.map((shard) => shard.url),
    dataDir: cluster.dataDir,
    supervisor: process.pid,
    wantsKeys,
  };
}

const BEARER = '-H "Authorization: Bearer $ENGRAM_API_KEY" ';

const WITHOUT_KEYS =
  'This cluster is for this machine only: all of it listens on 127.0.0.1, without passwords.';

const WITH_KEYS = `HTTP wants a key: commands take it from ENGRAM_API_KEY, or --api-key-file FILE.
This cluster is for this machine only: all of it listens on 127.0.0.1. Its NATS and Redis have no
passwords: every process of this machine reads and writes there without a key.`;

/** Where everything is and what to try next. */
export function summaryText(
  summary: UpSummary,
  options: { readonly isDetached: boolean; readonly hasDemo: boolean },
): string {
  const { url, docs, console: page, metrics, cluster, dataDir, wantsKeys } = summary;
  const program = invocation();
  const data = relative(process.cwd(), dataDir);
  const inDefault = dataDir === resolve(DEFAULT_DATA) ? '' : ` --data ${data}`;
  // Commands find the cluster of the folder that they are called in.
  const at = inDefault === '' || url.endsWith(':7700') ? '' : ` --url ${url}`;
  const tries = [
    ...(options.hasDemo ? [`${program} recall words --id coffee${at}`] : []),
    `${program} status${inDefault}`,
    `curl ${wantsKeys ? BEARER : ''}${url}/v1/spaces`,
  ];
  const stop = options.isDetached ? `${program} down${inDefault}` : 'Ctrl-C';
  const events = options.isDetached
    ? `\nWhat ends and starts again is told in ${join(data, 'up.log')}.`
    : '';
  return `
  API      ${colors.cyan(docs)}
  console  ${colors.cyan(page)}
  metrics  ${colors.cyan(metrics)}
  cluster  ${colors.cyan(cluster)}

Try next:
${tries.map((line) => `  ${line}`).join('\n')}

${wantsKeys ? WITH_KEYS : WITHOUT_KEYS}
Its data is in ${data === '' ? '.' : data}. Stop it with: ${stop}${events}`;
}
