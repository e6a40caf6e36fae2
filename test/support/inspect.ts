import { connect, type StreamState } from 'nats';
import type { TestCluster } from './cluster.ts';

/** Of the first stripe. */
export async function logState({ cluster }: TestCluster): Promise<StreamState> {
  const nc = await connect({ servers: cluster.nats.url });
  try {
    return (await (await nc.jetstreamManager()).streams.info('OBS-0')).state;
  } finally {
    await nc.close();
  }
}

/** A metric over all shards that run; `metric` may go on into its labels. */
export async function counted({ cluster }: TestCluster, metric: string): Promise<number> {
  let sum = 0;
  for (const shard of cluster.shards) {
    if (!shard.running) continue;
    const text = await (await fetch(`${shard.url}/metrics`)).text();
    for (const line of text.split('\n'))
      if (line.startsWith(`engram_${metric}`)) sum += Number(line.split(' ').at(-1));
  }
  return sum;
}
