import { readFile, stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { ApiKeys } from '@engram/access';
import { Repeater, type Clock, type Logger } from '@engram/runtime';
import type { Principal } from './principal.ts';

interface KeyFileOptions {
  /** Undefined: only the keys that were given. */
  readonly path: string | undefined;
  /** A list that does not change. */
  readonly given: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * How long a key that was taken out of the file is let in still. Looking is cheaper than being told, and
 * sees files that are replaced by moving links, as in containers.
 */
const LOOK_MS = 1_000;

/** The API keys that are let in: those of a file, read again when it changes, and those of a setting. */
export class KeyFile implements AsyncDisposable {
  readonly #options: KeyFileOptions;
  #current: ApiKeys;
  #version: string;
  #repeater: Repeater | undefined;
  /** Why it was not read the last time: each reason is told once. */
  #fault: string | undefined;

  private constructor(options: KeyFileOptions, keys: ApiKeys, version: string) {
    this.#options = options;
    this.#current = keys;
    this.#version = version;
  }

  /** @throws Error when the file cannot be read, or is no list of keys */
  static async start(options: KeyFileOptions): Promise<KeyFile> {
    const { path, clock } = options;
    const version = path === undefined ? '' : await versionOf(path);
    const file = new KeyFile(options, await read(options), version);
    if (path !== undefined)
      file.#repeater = new Repeater({
        clock,
        intervalMs: LOOK_MS,
        run: () => file.#look(path),
        onError: (error) => file.#onFault(error),
      });
    return file;
  }

  get current(): ApiKeys {
    return this.#current;
  }

  /**
   * Whose key it is, and until when.
   * @returns undefined when it is nobody's
   */
  principalOf(credential: string): Principal | undefined {
    const key = this.#current.find(credential);
    if (key === undefined) return undefined;
    const { id, grants } = key;
    let known = this.#current;
    let isValid = true;
    return {
      id: `key:${id}`,
      grants,
      isValid: () => {
        // Looked for only where the file was read anew: thousands of sessions ask every second.
        if (isValid && known !== this.#current) {
          known = this.#current;
          isValid = isDeepStrictEqual(known.find(credential)?.grants, grants);
        }
        return isValid;
      },
    };
  }

  async close(): Promise<void> {
    await this.#repeater?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #look(path: string): Promise<void> {
    const version = await versionOf(path);
    if (version === this.#version && this.#fault === undefined) return;
    this.#current = await read(this.#options);
    this.#version = version;
    this.#fault = undefined;
    this.#options.logger.info({ keys: this.#current.size }, 'API keys read');
  }

  /** A file that is half written, or gone for a moment, locks nobody out. */
  #onFault(error: unknown): void {
    const fault = String(error);
    if (this.#fault === fault) return;
    this.#fault = fault;
    this.#options.logger.error({ err: error }, 'API keys not read; those of before stay');
  }
}

async function versionOf(path: string): Promise<string> {
  const stats = await stat(path, { bigint: true });
  // To read a pipe would be to wait for whoever writes to it.
  if (!stats.isFile()) throw new Error(`${path} is no file`);
  const { dev, ino, size, mtimeNs } = stats;
  return [dev, ino, size, mtimeNs].join();
}

async function read({ path, given }: KeyFileOptions): Promise<ApiKeys> {
  const lists = given === undefined ? [] : [given];
  if (path !== undefined) lists.push(await readFile(path, 'utf8'));
  return ApiKeys.parse(...lists);
}
