// The cluster of docker-compose.yml under a name and on ports of its own.

import { EngramClient } from '@engram/client';
import { freePort } from '@engram/local-cluster';
import { Docker } from './docker.ts';
import { whenServed } from './served.ts';

const SERVED_MS = 180_000;

export interface ComposeOptions {
  /** Where settings of a profile stand, from the root of the repository. */
  readonly envFile?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Of an operator, where gateways want to know who asks. */
  readonly apiKey?: string;
}

export class ComposeCluster implements AsyncDisposable {
  readonly docker: Docker;
  readonly project: string;
  readonly client: EngramClient;
  readonly url: string;
  readonly prometheus: string;
  readonly #files: readonly string[];

  private constructor(
    engine: Readonly<Record<string, string>>,
    project: string,
    { envFile, env, apiKey }: ComposeOptions,
    [port, metrics, dashboards]: readonly [number, number, number],
  ) {
    this.docker = new Docker({
      ...engine,
      ...env,
      ENGRAM_PORT: `127.0.0.1:${port}`,
      PROMETHEUS_PORT: `127.0.0.1:${metrics}`,
      GRAFANA_PORT: `127.0.0.1:${dashboards}`,
    });
    this.project = project;
    this.url = `http://127.0.0.1:${port}`;
    this.prometheus = `http://127.0.0.1:${metrics}`;
    this.client = new EngramClient({ url: this.url, apiKey, retries: 2 });
    this.#files = envFile === undefined ? [] : ['--env-file', envFile];
  }

  /** Nothing is up yet. */
  static async prepare(
    engine: Readonly<Record<string, string>>,
    project: string,
    options: ComposeOptions = {},
  ): Promise<ComposeCluster> {
    const ports = [await freePort(), await freePort(), await freePort()] as const;
    return new ComposeCluster(engine, project, options, ports);
  }

  compose(...args: string[]): Promise<string> {
    return this.docker.run('compose', ...this.#files, '--project-name', this.project, ...args);
  }

  async scale(gateways: number, shards: number): Promise<void> {
    const counts = ['--scale', `gateway=${gateways}`, '--scale', `shard=${shards}`];
    await this.compose('up', '--detach', '--wait', ...counts);
  }

  async containersOf(service: string): Promise<string[]> {
    return (await this.compose('ps', '--all', '--quiet', service)).split('\n').filter(Boolean);
  }

  whenServed(shards: number): Promise<void> {
    return whenServed(this.client, shards, SERVED_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Those of profiles too, whatever was chosen.
    await this.compose('--profile', '*', 'down', '--volumes', '--timeout', '15');
  }
}
