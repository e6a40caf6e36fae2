// PostgreSQL with pgvector, by pg and pg-copy-streams.

import { once } from 'node:events';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { freePort } from '@engram/local-cluster';
import { K } from '../dataset.ts';
import { packageAbsence, packageThere, serverAbsence } from './installed.ts';
import { untilAborted, type Peer, type PeerContext, type Running, type Search } from './peer.ts';
import { copyRows } from './postgres-copy.ts';
import { searchLoad } from './search-load.ts';
import {
  diskBytesOf,
  runInSystem,
  systemFolder,
  SystemServer,
  type SystemFolder,
} from './system-server.ts';

const PROGRAMS = 'usr/lib/postgresql/17/bin/';
const USER = 'postgres';
const COPY_ROWS = 500;
const WRITERS = 2;
const EFS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384];
/** Where the system's folder of shared memory may not be one. */
const SHARED_MEMORY = 'dynamic_shared_memory_type=mmap';
const SETTINGS = ['shared_buffers=1GB', 'maintenance_work_mem=1GB', 'synchronous_commit=on'];

/** What is used of the package `pg`. */
interface PgClient {
  connect(): Promise<void>;
  query(text: string | PgQuery): Promise<{ readonly rows: readonly { readonly id: number }[] }>;
  query<T extends Writable>(stream: T): T;
  end(): Promise<void>;
  on(event: 'error', listener: () => void): void;
}
interface PgQuery {
  /** Prepared under it, once for a connection. */
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}
interface Pg {
  readonly Client: new (options: object) => PgClient;
}
interface PgCopyStreams {
  readonly from: (text: string) => Writable;
}

export const postgres: Peer = {
  name: 'pgvector, PostgreSQL 17',
  terms: `COPY of ${COPY_ROWS} rows into a table with its hnsw index (m 16, ef_construction 64), ${WRITERS} connections; acknowledged: committed and synced (synchronous_commit on)`,
  settings: EFS.map((ef) => ({ label: `ef_search ${ef}`, ef })),
  isRepeated: false,
  absence: () => serverAbsence(`${PROGRAMS}postgres`) ?? packageAbsence('pg', 'pg-copy-streams'),
  async whileRunning(context, measure) {
    await using folder = await systemFolder(USER);
    await runInSystem({
      user: USER,
      words: [
        ...[
          `/${PROGRAMS}initdb`,
          '--no-sync',
          '--auth=trust',
          '--username',
          USER,
          '--set',
          SHARED_MEMORY,
        ],
        ...['--pgdata', join(folder.inside, 'data')],
      ],
      logFile: join(folder.path, 'initdb.log'),
    });
    await using running = new RunningPostgres(context, folder, await freePort());
    await running.start();
    await running.prepare();
    return await measure(running);
  },
};

class RunningPostgres implements Running, AsyncDisposable {
  readonly #context: PeerContext;
  readonly #folder: SystemFolder;
  readonly #port: number;
  #server: SystemServer | undefined;
  #clients: Promise<PgClient>[] = [];

  constructor(context: PeerContext, folder: SystemFolder, port: number) {
    this.#context = context;
    this.#folder = folder;
    this.#port = port;
  }

  async start(): Promise<void> {
    const server = (this.#server = new SystemServer({
      user: USER,
      words: [
        ...[`/${PROGRAMS}postgres`, '-D', join(this.#folder.inside, 'data')],
        ...['-p', String(this.#port), '-k', ''],
        ...SETTINGS.flatMap((setting) => ['-c', setting]),
      ],
      logFile: join(this.#folder.path, 'postgres.log'),
    }));
    const probe = async () => {
      this.#clients = [this.#connect()];
      return this.#clients[0]!.then(
        () => true,
        () => false, // it does not listen yet, or recovers
      );
    };
    await server.answering(probe, this.#context.signal);
  }

  /** The empty table with its index. */
  async prepare(): Promise<void> {
    const [client] = await this.#connected(1);
    const { dimension } = this.#context.vectors;
    await client!.query('CREATE EXTENSION vector');
    await client!.query(`CREATE TABLE observations (id int, embedding vector(${dimension}))`);
    await client!.query(
      'CREATE INDEX ON observations USING hnsw (embedding vector_ip_ops) WITH (m = 16, ef_construction = 64)',
    );
  }

  pids(): readonly number[] {
    return this.#server?.pids() ?? [];
  }

  storePids(): readonly number[] {
    return this.pids();
  }

  async load(): Promise<void> {
    const { vectors, signal } = this.#context;
    const { from } = packageThere<PgCopyStreams>('pg-copy-streams');
    let next = 0;
    const writer = async (client: PgClient): Promise<void> => {
      while (next < vectors.count) {
        signal.throwIfAborted();
        const first = next;
        next = Math.min(vectors.count, first + COPY_ROWS);
        const stream = client.query(from('COPY observations FROM STDIN (FORMAT binary)'));
        stream.end(copyRows(vectors, first, next));
        await once(stream, 'finish', { signal });
      }
    };
    await Promise.all((await this.#connected(WRITERS)).map(writer));
  }

  async ask(load: Parameters<Running['ask']>[0]): ReturnType<Running['ask']> {
    const { vectors, signal } = this.#context;
    const clients = await this.#connected(load.clients);
    for (const client of clients) {
      await client.query('SET enable_seqscan = off');
      await client.query(`SET hnsw.ef_search = ${load.setting.ef}`);
    }
    const searches = clients.map(searchOf);
    return untilAborted(searchLoad(searches, vectors.queries, load, signal), signal);
  }

  async disk() {
    const data = join(this.#folder.path, 'data');
    const logBytes = await diskBytesOf(join(data, 'pg_wal'));
    return { storeBytes: (await diskBytesOf(data)) - logBytes, logBytes };
  }

  async rest(): Promise<void> {
    const [client] = await this.#connected(1);
    await client!.query('CHECKPOINT');
  }

  async kill(): Promise<void> {
    await this.#server?.kill();
    this.#clients = [];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  #connected(count: number): Promise<readonly PgClient[]> {
    while (this.#clients.length < count) this.#clients.push(this.#connect());
    return Promise.all(this.#clients.slice(0, count));
  }

  async #connect(): Promise<PgClient> {
    const { Client } = packageThere<Pg>('pg');
    const at = { host: '127.0.0.1', port: this.#port };
    const client = new Client({ ...at, user: USER, database: 'postgres' });
    // A server that is killed ends its connections; whoever asks is told.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }
}

function searchOf(client: PgClient): Search {
  return async (query) => {
    const { rows } = await client.query({
      name: 'nearest',
      text: `SELECT id FROM observations ORDER BY embedding <#> $1::vector LIMIT ${K}`,
      values: [`[${query.join(',')}]`],
    });
    return rows.map(({ id }) => id);
  };
}
