// What tests in containers do with Docker.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

declare module 'vitest' {
  interface ProvidedContext {
    /** What `docker` needs in its environment; undefined where there is no engine. */
    readonly engine: Readonly<Record<string, string>> | undefined;
  }
}

const ROOT = new URL('../../', import.meta.url).pathname;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

const execute = promisify(execFile);

export class Docker {
  readonly #environment: NodeJS.ProcessEnv;

  constructor(environment: Readonly<Record<string, string>>) {
    this.#environment = { ...process.env, ...environment, DOCKER_BUILDKIT: '1' };
  }

  async run(...args: string[]): Promise<string> {
    const options = { cwd: ROOT, env: this.#environment, maxBuffer: OUTPUT_BYTES_MAX };
    const { stdout } = await execute('docker', args, options);
    return stdout.trim();
  }

  async inspect<T>(container: string, format: string): Promise<T> {
    return JSON.parse(await this.run('inspect', '--format', `{{json ${format}}}`, container)) as T;
  }

  /** As when a machine dies: nothing in it is told that it ends. */
  async kill(container: string): Promise<void> {
    process.kill(await this.inspect<number>(container, '.State.Pid'), 'SIGKILL');
  }
}
