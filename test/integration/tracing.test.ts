// Traces as a collector gets them: a write and a recall from the gateway through NATS to the worker.

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { startTestCluster } from '../support/cluster.ts';
import { until } from '../support/until.ts';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly status?: { readonly code?: number };
}

interface Batch {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

async function collector() {
  const spans: Span[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      if (request.url !== '/v1/traces') return response.writeHead(404).end();
      const { resourceSpans } = JSON.parse(body) as Batch;
      for (const { scopeSpans } of resourceSpans)
        for (const each of scopeSpans) spans.push(...each.spans);
      return response.end('{}');
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

test('a write and a recall are one trace each, down to the worker, below the caller where it has one', async () => {
  await using collected = await collector();
  const { spans } = collected;
  await using running = await startTestCluster({
    shards: 1,
    env: { ENGRAM_OTLP_URL: collected.url, ENGRAM_TRACE_RATIO: '1' },
  });
  const { client, cluster } = running;
  await client.createSpace('traced', { dimension: 2 });
  await client.put('traced', [{ id: 'a', embedding: [1, 0] }], { ack: 'searchable' });
  const post = (path: string, body: object, traceparent: string) =>
    fetch(`${cluster.url}/v1/spaces/traced/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', traceparent },
      body: JSON.stringify(body),
    });
  const asked = await post('recall', { embedding: [1, 0] }, `00-${TRACE}-${PARENT}-01`);
  expect(asked.status).toBe(200);
  const unsampled = '1'.repeat(32);
  await post('recall', { embedding: [1, 0] }, `00-${unsampled}-${PARENT}-00`);
  await post('recall', { embedding: [1, 0] }, 'no trace at all');
  await client.recall('gone', { embedding: [1, 0], k: 1 }).catch(() => undefined);
  const session = client.session({ space: 'traced', ack: 'searchable' });
  await session.put([{ id: 'b', embedding: [0, 1] }]);
  await session.close();
  await client.delete('traced', 'b', { ack: 'searchable' });

  const chain = (span: Span | undefined): string[] =>
    span === undefined
      ? []
      : [...chain(spans.find(({ spanId }) => spanId === span.parentSpanId)), span.name];
  const chains = () =>
    spans.filter(({ name }) => name === 'worker').map((span) => chain(span).join(' > '));
  const recalled = 'POST /v1/spaces/:space/recall > ask recall > recall > worker';
  await until('all of it has come', () => chains().length >= 5);
  expect(chains().sort()).toEqual([
    'DELETE /v1/spaces/:space/observations/:id > publish > apply > worker',
    'POST /v1/spaces/:space/observations > publish > apply > worker',
    recalled,
    recalled,
    'STREAM put > publish > apply > worker',
  ]);
  const own = spans.filter(({ traceId }) => traceId === TRACE);
  expect(own.map(({ name }) => name).sort()).toEqual([
    'POST /v1/spaces/:space/recall',
    'ask recall',
    'recall',
    'worker',
  ]);
  expect(own.some(({ parentSpanId }) => parentSpanId === PARENT)).toBe(true);
  expect(spans.filter(({ traceId }) => traceId === unsampled)).toEqual([]);
});

test('without a collector nothing is traced, and a trace in a request changes nothing', async () => {
  await using running = await startTestCluster({ shards: 1 });
  const { client, cluster } = running;
  await client.createSpace('quiet', { dimension: 2 });
  const response = await fetch(`${cluster.url}/v1/spaces/quiet/observations?ack=searchable`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: `00-${TRACE}-${PARENT}-01` },
    body: '{"id":"a","embedding":[1,0]}',
  });
  expect(response.status).toBe(200);
});

test('a collector that is away holds nothing up', async () => {
  await using running = await startTestCluster({
    shards: 1,
    env: { ENGRAM_OTLP_URL: 'http://127.0.0.1:9', ENGRAM_TRACE_RATIO: '1' },
  });
  await running.client.createSpace('alone', { dimension: 2 });
  await running.client.put('alone', [{ id: 'a', embedding: [1, 0] }], { ack: 'searchable' });
  expect((await running.client.space('alone')).count).toBe(1);
});
