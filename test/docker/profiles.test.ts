// What docker-compose.yml has beside the cluster itself: three NATS servers, a load, a bad network.

import { describe, expect, inject, test } from 'vitest';
import { until } from '../support/until.ts';
import { ComposeCluster } from './compose-cluster.ts';
import { Writing } from './writing.ts';

const engine = inject('engine');
const SPACES = 4;
const ROWS = 4_000;

describe.skipIf(engine === undefined)('profiles of docker compose', () => {
  test('a log in three copies loses nothing, and goes on, when a NATS server is killed', async () => {
    await using cluster = await ComposeCluster.prepare(
      engine!,
      'engram-three',
      'infra/nats/three.env',
    );
    await cluster.scale(1, 2);
    await cluster.whenServed(2);
    const writing = Writing.start(cluster.client, SPACES, ROWS);
    await writing.reached(0.3);
    const [nats] = await cluster.containersOf('nats-2');
    await cluster.docker.kill(nats!);
    await writing.whole();
    const told = await cluster.compose(
      '--profile',
      'bench',
      'run',
      '--rm',
      'bench',
      '--seconds',
      '3',
      '--json',
    );
    expect((JSON.parse(told) as { accepted: number }).accepted).toBeGreaterThan(0);
  });

  test('nothing is lost behind a network that is cut and stalls', async () => {
    await using cluster = await ComposeCluster.prepare(
      engine!,
      'engram-chaos',
      'infra/chaos/chaos.env',
    );
    await cluster.scale(1, 2);
    const writing = Writing.start(cluster.client, SPACES, ROWS);
    const faults = async () =>
      (await cluster.compose('logs', '--no-log-prefix', 'chaos')).match(/ (cut|stall) /g);
    await until('it was made bad twice', async () => ((await faults()) ?? []).length >= 2, 120_000);
    await writing.whole();
  });
});
