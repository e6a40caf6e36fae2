// What docker-compose.yml has beside the cluster itself: three NATS servers, a load, a bad network.

import { mintApiKey, parseGrants } from '@engram/access';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { ComposeCluster } from './compose-cluster.ts';
import { Writing } from './writing.ts';

const engine = inject('engine');
const SPACES = 4;

describe.skipIf(engine === undefined)('profiles of docker compose', () => {
  test('a log in three copies loses nothing, and goes on, when a NATS server is killed, with keys too', async () => {
    await using folder = await tempDir();
    const operator = mintApiKey('operator', parseGrants({ '*': ['admin'] }));
    await chmod(folder.path, 0o755);
    await writeFile(join(folder.path, 'keys.json'), JSON.stringify([operator.record]));
    await using cluster = await ComposeCluster.prepare(engine!, 'engram-three', {
      envFile: 'infra/nats/three.env',
      env: { ENGRAM_AUTH: 'on', ENGRAM_KEYS: folder.path, ENGRAM_API_KEY: operator.key },
      apiKey: operator.key,
    });
    await cluster.scale(1, 2);
    await cluster.whenServed(2);
    expect((await fetch(`${cluster.url}/v1/spaces`)).status).toBe(401);
    const writing = Writing.start(cluster.client, SPACES);
    await writing.goesOn();
    const [nats] = await cluster.containersOf('nats-2');
    await cluster.docker.kill(nats!);
    await writing.goesOn();
    await writing.whole();
    const told = await cluster.compose(
      '--profile',
      'bench',
      'run',
      '--rm',
      '--no-deps',
      'bench',
      '--seconds',
      '3',
      '--json',
    );
    expect((JSON.parse(told) as { accepted: number }).accepted).toBeGreaterThan(0);
  });

  test('nothing is lost behind a network that is cut and stalls', async () => {
    await using cluster = await ComposeCluster.prepare(engine!, 'engram-chaos', {
      envFile: 'infra/chaos/chaos.env',
    });
    await cluster.scale(1, 2);
    const writing = Writing.start(cluster.client, SPACES);
    const faults = async () =>
      (await cluster.compose('logs', '--no-log-prefix', 'chaos')).match(/ (cut|stall) /g);
    await until('it was made bad twice', async () => ((await faults()) ?? []).length >= 2, 120_000);
    await writing.whole();
  });
});
