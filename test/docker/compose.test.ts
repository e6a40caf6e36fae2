// docker compose as users type it: up, more shards while data come in, a kill, a cut network, a stop.

import { existsSync, readFileSync } from 'node:fs';
import type { EngramClient } from '@engram/client';
import { parseSpaceId, partitionOf } from '@engram/model';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { ComposeCluster } from './compose-cluster.ts';
import { Writing } from './writing.ts';

const engine = inject('engine');
const SPACES = 12;
const CUT_MS = 30_000;
const NOTICED_MS = 12_000;
const QUERY = Array.from({ length: 100 }, (_, i) => Math.sin(i));

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

describe.skipIf(engine === undefined)('a cluster of docker compose', () => {
  let cluster: ComposeCluster;
  let writing: Writing;

  beforeAll(async () => {
    cluster = await ComposeCluster.prepare(engine!, 'engram-test');
  });

  afterAll(() => cluster[Symbol.asyncDispose]());

  test.each([
    ['infra/tracing.env', 'jaeger'],
    ['infra/chaos/chaos.env', 'chaos'],
    ['infra/nats/three.env', 'nats-3'],
  ])('%s is a file of settings that starts %s, too', async (file, service) => {
    const names = await cluster.docker.run('compose', '--env-file', file, 'config', '--services');
    expect(names.split('\n')).toContain(service);
  });

  test('comes up with one command, and serves its API, its console and its metrics', async () => {
    await cluster.scale(2, 3);
    await cluster.whenServed(3);
    const page = await fetch(`${cluster.url}/console`);
    expect([page.status, page.headers.get('content-security-policy')]).toEqual([
      200,
      expect.stringContaining("default-src 'none'"),
    ]);
    expect((await fetch(`${cluster.prometheus}/-/ready`)).status).toBe(200);
  });

  test('runs without root, capabilities or a writable file system, and only what clients need is published', async () => {
    const published: string[] = [];
    for (const service of [
      'nats',
      'redis',
      'gateway',
      'shard',
      'balancer',
      'prometheus',
      'grafana',
    ])
      for (const container of await cluster.containersOf(service)) {
        const host = await cluster.docker.inspect<Record<string, unknown>>(
          container,
          '.HostConfig',
        );
        expect([service, host['ReadonlyRootfs'], host['CapDrop']]).toEqual([
          service,
          true,
          ['ALL'],
        ]);
        expect(host['SecurityOpt'], service).toContain('no-new-privileges:true');
        expect(host['Memory'], service).toBeGreaterThan(0);
        const [user] = (await cluster.docker.run('top', container, '-o', 'uid,pid'))
          .split('\n')
          .slice(1);
        expect(user?.trim().split(/\s+/)[0], service).not.toBe('0');
        const bindings = (host['PortBindings'] ?? {}) as Record<string, { HostIp: string }[]>;
        for (const each of Object.values(bindings).flat())
          published.push(`${service} ${each.HostIp}`);
      }
    expect(published.sort()).toEqual([
      'balancer 127.0.0.1',
      'grafana 127.0.0.1',
      'prometheus 127.0.0.1',
    ]);
  });

  test('takes new shards in while data come', async () => {
    writing = Writing.start(cluster.client, SPACES);
    await writing.goesOn();
    await cluster.scale(2, 5);
    await cluster.whenServed(5);
    await writing.goesOn();
  });

  test('a shard is killed and comes back', async () => {
    const [shard] = await cluster.containersOf('shard');
    const { epoch } = await cluster.client.ring();
    await cluster.docker.kill(shard!);
    await until('it is started again', async () => {
      const state = await cluster.docker.inspect<{ Running: boolean }>(shard!, '.State');
      const restarts = await cluster.docker.inspect<number>(shard!, '.RestartCount');
      return state.Running && restarts > 0;
    });
    await until('others know of it', async () => (await cluster.client.ring()).epoch > epoch);
    await cluster.whenServed(5);
    await writing.goesOn();
  });

  test('a shard is cut off for half a minute', async () => {
    const [shard] = (await cluster.containersOf('shard')).slice(-1);
    const network = `${cluster.project}_inside`;
    const hostname = await cluster.docker.inspect<string>(shard!, '.Config.Hostname');
    const others = await spacesOfOthers(cluster.client, hostname);
    expect(others.length).toBeGreaterThan(0);
    await cluster.docker.run('network', 'disconnect', network, shard!);
    const cutAt = performance.now();
    // Its lease ends, and others take over what it had: of other spaces nobody notices anything.
    while (performance.now() - cutAt < NOTICED_MS)
      for (const space of others)
        expect(await (await recalled(cluster.url, space)).text(), space).toContain('"results"');
    await until('the others have its partitions', async () => {
      const { members, partitions } = await cluster.client.ring();
      return (
        members.filter(({ role }) => role === 'shard').length === 4 &&
        partitions.every(({ ready }) => ready.length > 0)
      );
    });
    await writing.goesOn();
    await until('the time is over', () => performance.now() - cutAt > CUT_MS);
    await cluster.docker.run('network', 'connect', '--alias', 'shard', network, shard!);
    await cluster.whenServed(5);
  });

  test('without NATS gateways are unready, and say what is wrong through the balancer', async () => {
    await cluster.compose('stop', 'nats');
    const code = async () => {
      const answer = await recalled(cluster.url, 'imported-0');
      expect(answer.headers.get('content-type')).toContain('json');
      return ((await answer.json()) as { code?: string }).code;
    };
    await until('they are asked although they are unready', async () => {
      const { status } = await fetch(`${cluster.url}/readyz`);
      return status === 503 && (await code()) === 'LOG_UNAVAILABLE';
    });
    expect((await fetch(`${cluster.url}/console`)).status).toBe(200);
    await cluster.compose('start', 'nats');
    await cluster.whenServed(5);
    await writing.goesOn();
  });

  test('afterwards nothing is missing', async () => {
    await writing.whole();
  });

  test('each panel and each alert names metrics that there are, and each panel has data', async () => {
    const asked = async (path: string, query: Record<string, string>) => {
      const answer = await fetch(
        `${cluster.prometheus}/api/v1/${path}?${new URLSearchParams(query).toString()}`,
      );
      const body = (await answer.json()) as {
        status: string;
        error?: string;
        data: { result: unknown[] };
      };
      expect(body.error, query['query']).toBeUndefined();
      return body.data.result;
    };
    const text = readFileSync(
      new URL('../../infra/grafana/dashboards/cluster.json', import.meta.url),
      'utf8',
    );
    const { panels } = JSON.parse(text) as { readonly panels: readonly Panel[] };
    const recalls = new AbortController();
    const recalling = keepRecalling(cluster.client, recalls.signal);
    try {
      for (const { title, targets = [] } of panels)
        for (const { expr } of targets)
          await until(
            `${title} has data: ${expr}`,
            async () => (await asked('query', { query: expr })).length > 0,
          );
    } finally {
      recalls.abort();
      await recalling;
    }
    const rules = (await (await fetch(`${cluster.prometheus}/api/v1/rules`)).json()) as {
      data: {
        groups: { rules: { name: string; query: string; health: string; lastError?: string }[] }[];
      };
    };
    const all = rules.data.groups.flatMap((group) => group.rules);
    expect(all.filter(({ health }) => health !== 'ok')).toEqual([]);
    const names = all.flatMap(({ query }) => query.match(/engram_\w+/g) ?? []);
    expect(new Set(names).size).toBeGreaterThan(15);
    // Also of those that count what has not happened yet.
    const answer = await fetch(`${cluster.prometheus}/api/v1/metadata`);
    const { data: told } = (await answer.json()) as {
      readonly data: Readonly<Record<string, unknown>>;
    };
    const known = new Set(Object.keys(told));
    const isKnown = (name: string) =>
      known.has(name) || known.has(name.replace(/_(bucket|count|sum)$/, ''));
    expect(names.filter((name) => !isKnown(name))).toEqual([]);
    const promtool = ['promtool', 'test', 'rules', '/etc/prometheus/rules.test.yml'];
    expect(await cluster.compose('exec', '--no-TTY', 'prometheus', ...promtool)).toMatch(/SUCCESS/);
  });

  test('stop drains everybody, and start brings everything back', async () => {
    await cluster.compose('stop');
    for (const service of ['gateway', 'shard', 'nats', 'redis'])
      for (const container of await cluster.containersOf(service))
        expect([service, await cluster.docker.inspect(container, '.State.ExitCode')]).toEqual([
          service,
          0,
        ]);
    await using folder = await tempDir();
    const document = readFileSync(new URL('../../OPERATIONS.md', import.meta.url), 'utf8');
    const [, copying] = /`docker (run --rm -v engram_nats[^`]+)`/.exec(document)!;
    const words = copying!
      .replace('engram_nats', `${cluster.project}_nats`)
      .replace('"$PWD"', folder.path);
    await cluster.docker.run(...words.split(/\s+/));
    expect(existsSync(`${folder.path}/backup/jetstream`)).toBe(true);
    await cluster.compose('start');
    await cluster.whenServed(5);
    await writing.verified();
  });
});

/** Those that a shard on this host has nothing of. */
async function spacesOfOthers(client: EngramClient, hostname: string): Promise<string[]> {
  const { partitions } = await client.ring();
  const names = Array.from({ length: SPACES }, (_, i) => `imported-${i}`);
  return names.filter((name) => {
    const { owners } = partitions[partitionOf(parseSpaceId(name), partitions.length)]!;
    return owners.every((id) => !id.includes(hostname));
  });
}

/** Without the SDK, which tries again. */
function recalled(url: string, space: string): Promise<Response> {
  return fetch(`${url}/v1/spaces/${space}/recall`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ embedding: QUERY, k: 1 }),
  });
}

async function keepRecalling(client: EngramClient, signal: AbortSignal): Promise<void> {
  while (!signal.aborted)
    for (let i = 0; i < SPACES && !signal.aborted; i++)
      // A write now and then, so that there are rates of everything.
      await Promise.all([
        client.recall(`imported-${i}`, { embedding: QUERY, k: 5 }),
        client.put(`imported-${i}`, [{ id: 'word-0', embedding: QUERY }], { ack: 'searchable' }),
      ]);
}
