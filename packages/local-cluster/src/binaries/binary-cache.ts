import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { FileLock } from '../file-lock.ts';
import { messageOf, SetupError, systemCode } from '../setup-error.ts';
import {
  isFound,
  probeBinary,
  type BinarySource,
  type Found,
  type ServerBinary,
  type ServerSpec,
} from './server-binary.ts';

// Server programs that were fetched for this user, one directory each:
//   <cache>/nats-server-apt-linux-x64/{server.json, …what was unpacked}
// A directory is filled under another name and renamed, so it is whole or not there.

/** A slow mirror and two package lists; past this the other process hangs. */
const INSTALL_DEADLINE_MS = 300_000;
const RECEIPT = 'server.json';

/** What lies where inside an unpacked directory; relative paths, so that a cache can be moved. */
export interface Unpacked {
  readonly executable: string;
  readonly libraries: readonly string[];
}

export type Fill = (directory: string) => Promise<Unpacked | { readonly refused: string }>;

export class BinaryCache {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** A cached binary that still runs and is new enough. */
  async find(spec: ServerSpec): Promise<ServerBinary | undefined> {
    for (const source of ['apt', 'release'] as const) {
      const found = await this.#probe(spec, source, this.#place(spec, source));
      if (isFound(found)) return found;
    }
    return undefined;
  }

  /** Fills a new directory and puts it in place, for the one process that holds the lock. */
  async install(spec: ServerSpec, source: BinarySource, fill: Fill): Promise<Found> {
    const draft = await mkdtemp(join(this.directory, 'draft-'));
    try {
      const unpacked = await fill(draft);
      if ('refused' in unpacked) return unpacked;
      await writeFile(join(draft, RECEIPT), JSON.stringify(unpacked));
      const tried = await this.#probe(spec, source, draft);
      if (!isFound(tried)) return tried;
      const place = this.#place(spec, source);
      await rm(place, { recursive: true, force: true });
      await rename(draft, place);
      return await this.#probe(spec, source, place);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }

  /** Runs with the cache locked against other processes that install. */
  async locked<T>(work: () => Promise<T>): Promise<T> {
    await this.#create();
    const lock = await FileLock.acquire(join(this.directory, 'install.lock'), INSTALL_DEADLINE_MS);
    if (lock === undefined)
      throw new SetupError('BINARY_MISSING', 'another process is still installing the servers', {
        hint: `wait for it, or end it and remove ${join(this.directory, 'install.lock')}`,
      });
    try {
      await this.#clear();
      return await work();
    } finally {
      lock.release();
    }
  }

  async #create(): Promise<void> {
    try {
      await mkdir(this.directory, { recursive: true });
    } catch (cause) {
      throw new SetupError(
        'BINARY_MISSING',
        `the cache folder ${this.directory} cannot be made: ${messageOf(cause)}`,
        { hint: 'make it writable, or set XDG_CACHE_HOME to a folder that is', cause },
      );
    }
  }

  /** Drafts of installs that were killed; the lock says that no other is at work. */
  async #clear(): Promise<void> {
    const names = await readdir(this.directory);
    for (const name of names.filter((each) => each.startsWith('draft-')))
      await rm(join(this.directory, name), { recursive: true, force: true });
  }

  #place(spec: ServerSpec, source: BinarySource): string {
    return join(this.directory, `${spec.name}-${source}-${process.platform}-${process.arch}`);
  }

  async #probe(spec: ServerSpec, source: BinarySource, directory: string): Promise<Found> {
    let receipt: string;
    try {
      receipt = await readFile(join(directory, RECEIPT), 'utf8');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return { refused: 'not in the cache' };
      throw error;
    }
    const { executable, libraries } = JSON.parse(receipt) as Unpacked;
    const libraryPath = libraries.map((each) => join(directory, each)).join(':');
    const path = join(directory, executable);
    return probeBinary(spec, source, path, libraryPath === '' ? undefined : libraryPath);
  }
}

/** `$XDG_CACHE_HOME/engram`, or `~/.cache/engram`. */
export function defaultCacheDir(): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(
    base !== undefined && base.startsWith('/') ? base : join(homedir(), '.cache'),
    'engram',
  );
}
