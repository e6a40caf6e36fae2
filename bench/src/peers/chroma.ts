// Chroma's server, by its own client.

import { join } from 'node:path';
import { freePort } from '@engram/local-cluster';
import { K } from '../dataset.ts';
import { packageAbsence, packageThere, serverAbsence } from './installed.ts';
import { untilAborted, type Peer, type PeerContext, type Running, type Search } from './peer.ts';
import { searchLoad } from './search-load.ts';
import { diskBytesOf, systemFolder, SystemServer, type SystemFolder } from './system-server.ts';

const PROGRAM = 'opt/chroma/node_modules/chromadb/dist/cli.mjs';
const USER = 'nobody';
const BATCH = 1_000;
const WRITERS = 2;
/** Its default. Setting another one for a collection that is there changed nothing. */
const EF = 100;

/** What is used of the package `chromadb`. */
interface Chroma {
  readonly ChromaClient: new (options: object) => {
    heartbeat(): Promise<number>;
    createCollection(options: object): Promise<ChromaCollection>;
    getCollection(options: object): Promise<ChromaCollection>;
  };
}
interface ChromaCollection {
  add(rows: object): Promise<void>;
  query(options: object): Promise<{ readonly ids: readonly (readonly string[])[] }>;
}

export const chroma: Peer = {
  name: 'Chroma 1',
  terms: `batches of ${BATCH}, ${WRITERS} in flight, hnsw by default (ef_construction 100, M 16); acknowledged: in its SQLite, not synced`,
  settings: [{ label: `ef_search ${EF}`, ef: EF }],
  isRepeated: true,
  absence: () => serverAbsence(PROGRAM) ?? packageAbsence('chromadb'),
  async whileRunning(context, measure) {
    await using folder = await systemFolder(USER);
    await using running = new RunningChroma(context, folder, await freePort());
    await running.start();
    await running.prepare();
    return await measure(running);
  },
};

class RunningChroma implements Running, AsyncDisposable {
  readonly #context: PeerContext;
  readonly #folder: SystemFolder;
  readonly #client: InstanceType<Chroma['ChromaClient']>;
  readonly #port: number;
  #server: SystemServer | undefined;
  #collection: ChromaCollection | undefined;

  constructor(context: PeerContext, folder: SystemFolder, port: number) {
    this.#context = context;
    this.#folder = folder;
    this.#port = port;
    const { ChromaClient } = packageThere<Chroma>('chromadb');
    this.#client = new ChromaClient({ host: '127.0.0.1', port, ssl: false });
  }

  async start(): Promise<void> {
    const server = (this.#server = new SystemServer({
      user: USER,
      words: [
        ...['/usr/bin/node', `/${PROGRAM}`, 'run', '--host', '127.0.0.1'],
        ...['--port', String(this.#port), '--path', join(this.#folder.inside, 'data')],
      ],
      logFile: join(this.#folder.path, 'chroma.log'),
    }));
    const probe = () =>
      this.#client.heartbeat().then(
        () => true,
        () => false, // not listening yet
      );
    await server.answering(probe, this.#context.signal);
  }

  async prepare(): Promise<void> {
    this.#collection = await this.#client.createCollection({
      name: 'observations',
      embeddingFunction: null,
      configuration: { hnsw: { space: 'cosine' } },
    });
  }

  pids(): readonly number[] {
    return this.#server?.pids() ?? [];
  }

  storePids(): readonly number[] {
    return this.pids();
  }

  async load(): Promise<void> {
    const { vectors, signal } = this.#context;
    const { count, dimension, slab } = vectors;
    let next = 0;
    const writer = async (): Promise<void> => {
      while (next < count) {
        signal.throwIfAborted();
        const ids: string[] = [];
        const embeddings: number[][] = [];
        for (const end = Math.min(count, next + BATCH); next < end; next++) {
          ids.push(String(next));
          embeddings.push([...slab.subarray(next * dimension, (next + 1) * dimension)]);
        }
        await this.#collection!.add({ ids, embeddings });
      }
    };
    await Promise.all(Array.from({ length: WRITERS }, writer));
  }

  ask(load: Parameters<Running['ask']>[0]): ReturnType<Running['ask']> {
    const { vectors, signal } = this.#context;
    const search: Search = async (query) => {
      const queryEmbeddings = [[...query]];
      const { ids } = await this.#collection!.query({ queryEmbeddings, nResults: K, include: [] });
      return ids[0]!.map(Number);
    };
    const searches = Array.from({ length: load.clients }, () => search);
    return untilAborted(searchLoad(searches, vectors.queries, load, signal), signal);
  }

  async disk() {
    return { storeBytes: await diskBytesOf(join(this.#folder.path, 'data')), logBytes: 0 };
  }

  /** It writes its graph each thousand rows, and nobody can tell it to. */
  async rest(): Promise<void> {}

  async kill(): Promise<void> {
    await this.#server?.kill();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
