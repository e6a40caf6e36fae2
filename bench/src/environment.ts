import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Servers } from './group.ts';

export interface Environment {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  /** Of the last 1, 5 and 15 minutes, before the run. */
  readonly loadBefore: readonly number[];
  readonly node: string;
  readonly natsServer: string;
  readonly redisServer: string;
  /** Of this repository; `+` when files differ from it, results of benchmarks not counted. */
  readonly commit: string;
  readonly packages: Readonly<Record<string, string>>;
}

const ROOT = new URL('../../', import.meta.url);
/** Their third-party packages are on the measured path. */
const MANIFESTS = ['bench', 'services/gateway', 'packages/demo', 'packages/membership'];
const COMMAND_MS_MAX = 10_000;

export async function describeEnvironment({ nats, redis }: Servers): Promise<Environment> {
  const loadBefore = loadavg().map((load) => Number(load.toFixed(2)));
  const [cpu] = cpus();
  return {
    date: new Date().toISOString(),
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Number((totalmem() / 2 ** 30).toFixed(1)),
    system: `${platform()} ${release()} ${arch()}`,
    loadBefore,
    node: process.version,
    natsServer: nats.version,
    redisServer: redis.version,
    commit: await commit(),
    packages: Object.assign({}, ...MANIFESTS.map(pinned)) as Record<string, string>,
  };
}

/** Versions in the manifests are exact, so what is asked for is what is installed. */
function pinned(folder: string): Record<string, string> {
  const text = readFileSync(new URL(`${folder}/package.json`, ROOT), 'utf8');
  const { dependencies = {} } = JSON.parse(text) as { dependencies?: Record<string, string> };
  return Object.fromEntries(
    Object.entries(dependencies).filter(([, version]) => !version.startsWith('workspace:')),
  );
}

async function commit(): Promise<string> {
  try {
    const id = await git('rev-parse', '--short=12', 'HEAD');
    const changes = await git('status', '--porcelain', '--', '.', ':!bench/results');
    return changes === '' ? id : `${id}+`;
  } catch {
    return 'unknown'; // no git, or an unpacked archive
  }
}

async function git(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('git', args, {
    cwd: fileURLToPath(ROOT),
    timeout: COMMAND_MS_MAX,
  });
  return stdout.trim();
}
