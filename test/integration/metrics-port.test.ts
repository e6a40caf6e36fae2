// The port for scrapers: metrics without a key, and nothing else.

import { mintApiKey, parseGrants } from '@engram/access';
import { freePort } from '@engram/local-cluster';
import { expect, test } from 'vitest';
import { startTestCluster } from '../support/cluster.ts';

test('scrapers need no key on their port, and find nothing else there', async () => {
  const operator = mintApiKey('operator', parseGrants({ '*': ['admin'] }));
  const port = await freePort();
  await using running = await startTestCluster({
    shards: 1,
    apiKey: operator.key,
    env: {
      ENGRAM_API_KEYS: JSON.stringify([operator.record]),
      ENGRAM_METRICS_PORT: String(port),
      ENGRAM_METRICS_SPACES_MAX: '1',
    },
  });
  const { client, cluster } = running;
  for (const space of ['first', 'second']) {
    await client.createSpace(space, { dimension: 2 });
    await client.put(space, [{ id: 'a', embedding: [1, 0] }], { ack: 'searchable' });
  }
  const url = `http://127.0.0.1:${port}`;
  const scraped = await fetch(`${url}/metrics`);
  const text = await scraped.text();
  expect(scraped.status).toBe(200);
  expect(text).toMatch(/^engram_build_info\{version="[\d.]+",node="v[\d.]+",/m);
  expect(text).toMatch(/^engram_space_items_total\{space="first",.*\} 1$/m);
  expect(text).toMatch(/^engram_space_items_total\{space="other",.*\} 1$/m);
  expect(text.match(/^engram_partition_shards\{/gm)).toHaveLength(64);
  expect(text).toMatch(/^engram_log_bytes\{kind="used",.*\} [1-9]/m);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  for (const path of ['/', '/docs', '/console', '/openapi.json', '/v1/cluster', '/v1/spaces']) {
    const { status, headers } = await fetch(`${url}${path}`, { redirect: 'manual' });
    expect([path, status, headers.get('content-type')]).toEqual([
      path,
      404,
      'application/problem+json; charset=utf-8',
    ]);
  }
  // Elsewhere a key is wanted for them.
  expect((await fetch(`${cluster.url}/metrics`)).status).toBe(401);
  expect((await fetch(`${cluster.url}/console`)).status).toBe(200);
});
