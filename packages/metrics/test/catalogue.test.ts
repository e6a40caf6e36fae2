import { expect, test } from 'vitest';
import { LATENCY_SECONDS, MetricsRegistry } from '../src/catalogue.ts';

test('metrics of two registries do not meet, and a gauge is read anew at each scrape', async () => {
  const [one, two] = [new MetricsRegistry('shard', 'a'), new MetricsRegistry('shard', 'b')];
  for (const registry of [one, two]) registry.counter('things_total', 'Things.', ['lane']);
  const counts = new Map([['low', 1]]);
  one.gauge('depth', 'Depth.', ['lane'], (set) => {
    for (const [lane, value] of counts) set(value, { lane });
  });
  expect(await one.render()).toMatch(/engram_depth\{lane="low",role="shard",member="a"\} 1/);
  counts.delete('low');
  counts.set('high', 2);
  const text = await one.render();
  expect(text).toMatch(/lane="high".* 2/);
  expect(text).not.toMatch(/lane="low"/);
  expect(await two.render()).not.toMatch(/engram_depth/);
});

test('latency buckets rise', () => {
  expect([...LATENCY_SECONDS]).toEqual(LATENCY_SECONDS.toSorted((a, b) => a - b));
});
