// What operators are given is what it says: dashboards as they are generated, alerts that the documents explain.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SCRIPT: string = '../../infra/grafana/dashboards.mjs';
const { dashboards } = (await import(SCRIPT)) as {
  readonly dashboards: () => Record<string, string>;
};
const read = (path: string) => readFileSync(`${ROOT}${path}`, 'utf8');

test('the dashboards that are checked in are those that are generated', () => {
  const folder = 'infra/grafana/dashboards';
  const generated = dashboards();
  expect(readdirSync(`${ROOT}${folder}`)).toEqual(Object.keys(generated));
  for (const [name, text] of Object.entries(generated))
    expect(read(`${folder}/${name}`)).toBe(text);
});

test('each alert says what is wrong, how bad that is, and where it stands what to do', () => {
  const headings = [...read('OPERATIONS.md').matchAll(/^### (\w+)$/gm)].map(([, name]) => name!);
  const rules = read('infra/prometheus/rules.yml')
    .split(/^ {6}- alert: /m)
    .slice(1);
  expect(rules.length).toBeGreaterThan(15);
  const names = rules.map((text) => /^\w+/.exec(text)![0]);
  expect(names).toEqual(headings);
  for (const [i, text] of rules.entries()) {
    expect(text).toContain(`runbook: 'OPERATIONS.md#${names[i]!.toLowerCase()}'`);
    expect(text).toMatch(/severity: (page|warning)/);
    expect(text).toMatch(/summary: '/);
  }
  // Run by promtool, where there is one: test/docker/compose.test.ts.
  const tested = read('infra/prometheus/rules.test.yml').matchAll(/^ {6}- alertname: (\w+)$/gm);
  expect([...tested].map(([, name]) => name)).toEqual(names);
});

test('each metric of a panel or an alert is one that a member tells', () => {
  const sources = ['services/gateway/src/metrics.ts', 'services/shard/src/metrics.ts'].map(read);
  const registered = [...sources.join('\n').matchAll(/'([a-z][a-z0-9_]+)',/g)].map(
    ([, name]) => name!,
  );
  const known = new Set(registered.map((name) => `engram_${name}`));
  const asked = [...Object.values(dashboards()), read('infra/prometheus/rules.yml')]
    .join('\n')
    .match(/engram_[a-z0-9_]+/g)!
    .map((name) => name.replace(/_(bucket|count|sum)$/, ''));
  // Of every process of Node, by prom-client.
  const ofNode = (name: string) => /^engram_(process|nodejs)_/.test(name);
  expect(asked.filter((name) => !known.has(name) && !ofNode(name))).toEqual([]);
});
