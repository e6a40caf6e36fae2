// Redis' vector sets, by ioredis.

import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '@engram/local-cluster';
import { Redis } from 'ioredis';
import { K } from '../dataset.ts';
import { serverAbsence } from './installed.ts';
import { untilAborted, type Peer, type PeerContext, type Running, type Search } from './peer.ts';
import { searchLoad } from './search-load.ts';
import { diskBytesOf, systemFolder, SystemServer, type SystemFolder } from './system-server.ts';

const PROGRAM = 'usr/bin/redis-server';
const KEY = 'observations';
const KEY_AGAIN = 'again';
const M = 16;
/** More than this in one pipeline gained nothing. */
const PIPELINE = 100;
/** So the server has the next one there when it is done with one. */
const IN_FLIGHT = 2;
const POLL_MS = 10;
const EFS = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384];

export const redisFast = redis(64, true);
/** With its own default. */
export const redisDefault = redis(200, false);

/** @param efConstruction breadth of the search for neighbours */
function redis(efConstruction: number, isRepeated: boolean): Peer {
  return {
    name: `Redis 8 vector sets, q8, EF ${efConstruction}`,
    terms: `VADD … Q8 EF ${efConstruction} M ${M} in pipelines of ${PIPELINE}, ${IN_FLIGHT} in flight; acknowledged: in the append-only file, synced each second`,
    settings: EFS.map((ef) => ({ label: `EF ${ef}`, ef })),
    isRepeated,
    absence: () => serverAbsence(PROGRAM),
    async whileRunning(context, measure) {
      await using folder = await systemFolder('redis');
      await using running = new RunningRedis(context, folder, await freePort(), efConstruction);
      await running.start();
      return await measure(running);
    },
  };
}

class RunningRedis implements Running, AsyncDisposable {
  readonly #context: PeerContext;
  readonly #folder: SystemFolder;
  readonly #port: number;
  readonly #efConstruction: number;
  #server: SystemServer | undefined;
  #clients: Redis[] = [];

  constructor(context: PeerContext, folder: SystemFolder, port: number, efConstruction: number) {
    this.#context = context;
    this.#folder = folder;
    this.#port = port;
    this.#efConstruction = efConstruction;
  }

  async start(): Promise<void> {
    const server = (this.#server = new SystemServer({
      user: 'redis',
      words: [
        ...[`/${PROGRAM}`, '--bind', '127.0.0.1', '--port', String(this.#port)],
        ...['--dir', this.#folder.inside, '--save', '', '--appendonly', 'yes'],
        ...['--appendfsync', 'everysec'],
      ],
      logFile: `${this.#folder.path}/redis.log`,
    }));
    // It refuses what it is asked while it reads its file, and so PING.
    const probe = async () => {
      const client = this.#connect();
      try {
        await client.connect();
        return true;
      } catch {
        return false; // not listening yet
      } finally {
        client.disconnect();
      }
    };
    await server.answering(probe, this.#context.signal);
  }

  pids(): readonly number[] {
    return this.#server?.pids() ?? [];
  }

  storePids(): readonly number[] {
    return this.pids();
  }

  load(): Promise<void> {
    return this.#loadInto(KEY);
  }

  loadAgain(): Promise<void> {
    return this.#loadInto(KEY_AGAIN);
  }

  async #loadInto(key: string): Promise<void> {
    const { vectors, signal } = this.#context;
    const { count, dimension, slab } = vectors;
    const [client] = this.#connected(1);
    const ends = ['Q8', 'EF', this.#efConstruction, 'M', M];
    let next = 0;
    const sender = async (): Promise<void> => {
      while (next < count) {
        signal.throwIfAborted();
        const end = Math.min(count, next + PIPELINE);
        const pipeline = client!.pipeline();
        for (; next < end; next++) {
          const bytes = dimension * slab.BYTES_PER_ELEMENT;
          const blob = Buffer.from(slab.buffer, next * bytes, bytes);
          pipeline.call('VADD', key, 'FP32', blob, String(next), ...ends);
        }
        for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
      }
    };
    await untilAborted(Promise.all(Array.from({ length: IN_FLIGHT }, sender)), signal);
  }

  ask(load: Parameters<Running['ask']>[0]): ReturnType<Running['ask']> {
    const searches = this.#connected(load.clients).map(searchOf);
    const { vectors, signal } = this.#context;
    return untilAborted(searchLoad(searches, vectors.queries, load, signal), signal);
  }

  async disk() {
    return { storeBytes: await diskBytesOf(`${this.#folder.path}/appendonlydir`), logBytes: 0 };
  }

  async rest(): Promise<void> {
    const [client] = this.#connected(1);
    await client!.bgrewriteaof();
    const isDone = async () => {
      const text = await client!.info('persistence');
      return text.includes('aof_rewrite_in_progress:0') && text.includes('rewrite_scheduled:0');
    };
    do await pause(POLL_MS, undefined, { signal: this.#context.signal });
    while (!(await isDone()));
  }

  async kill(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    this.#clients = [];
    await this.#server?.kill();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  #connected(count: number): readonly Redis[] {
    while (this.#clients.length < count) this.#clients.push(this.#connect());
    return this.#clients.slice(0, count);
  }

  #connect(): Redis {
    const client = new Redis({
      host: '127.0.0.1',
      port: this.#port,
      lazyConnect: true,
      // It would wait for a second before it asks again.
      enableReadyCheck: false,
      retryStrategy: () => null,
    });
    // Whoever asks is told; without a listener it would be printed as well.
    client.on('error', () => undefined);
    return client;
  }
}

function searchOf(client: Redis): Search {
  return async (query, { ef }) => {
    const blob = Buffer.from(query.buffer, query.byteOffset, query.byteLength);
    const ids = (await client.call('VSIM', KEY, 'FP32', blob, 'COUNT', K, 'EF', ef)) as string[];
    return ids.map(Number);
  };
}
