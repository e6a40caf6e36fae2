// Libraries, in a process of their own: so their memory can be told and they can be killed. The client is
// in that process, as it is for whoever uses them.

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LibraryName, Order } from './embedded-child.ts';
import { untilAborted, type Peer, type PeerContext, type Running } from './peer.ts';
import type { SearchLoad, SearchTally } from './search-load.ts';
import { diskBytesOf } from './system-server.ts';

const CHILD = fileURLToPath(new URL('./embedded-child.js', import.meta.url));

type Description = Pick<Peer, 'name' | 'terms' | 'settings' | 'absence'>;

export function embedded(library: LibraryName, description: Description): Peer {
  return {
    ...description,
    isRepeated: false,
    async whileRunning(context, measure) {
      const folder = await mkdtemp(join(tmpdir(), 'engram-bench-'));
      try {
        const { slab, queries } = context.vectors;
        await writeFile(join(folder, 'rows'), new Uint8Array(slab.buffer));
        await writeFile(join(folder, 'queries'), Buffer.concat(queries.map(bytesOf)));
        await using running = new RunningLibrary(context, library, folder);
        await running.start();
        return await measure(running);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

class RunningLibrary implements Running, AsyncDisposable {
  readonly #context: PeerContext;
  readonly #library: LibraryName;
  readonly #folder: string;
  #child: ChildProcess | undefined;

  constructor(context: PeerContext, library: LibraryName, folder: string) {
    this.#context = context;
    this.#library = library;
    this.#folder = folder;
  }

  async start(): Promise<void> {
    const { dimension } = this.#context.vectors;
    this.#child = fork(CHILD, [this.#library, this.#folder, String(dimension)], {
      serialization: 'advanced',
      detached: true,
    });
    await this.#answer();
  }

  pids(): readonly number[] {
    const { pid } = this.#child ?? {};
    return pid === undefined ? [] : [pid];
  }

  storePids(): readonly number[] {
    return this.pids();
  }

  async load(): Promise<void> {
    await this.#carryOut({ kind: 'load' });
  }

  ask(load: SearchLoad): Promise<SearchTally> {
    return this.#carryOut({ kind: 'ask', load }) as Promise<SearchTally>;
  }

  async disk() {
    return { storeBytes: await diskBytesOf(join(this.#folder, 'store')), logBytes: 0 };
  }

  /** All is in its files when it is acknowledged. */
  async rest(): Promise<void> {}

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  #carryOut(order: Order): Promise<unknown> {
    this.#child!.send(order);
    return this.#answer();
  }

  /** The next message. @throws Error when the process ends without one */
  #answer(): Promise<unknown> {
    const child = this.#child!;
    const ended = new AbortController();
    const { signal } = ended;
    const answered = Promise.race([
      once(child, 'message', { signal }).then(([message]: unknown[]) => message),
      once(child, 'exit', { signal }).then(() => {
        throw new Error(`the process of ${this.#library} has ended`);
      }),
    ]).finally(() => ended.abort());
    return untilAborted(answered, this.#context.signal);
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
