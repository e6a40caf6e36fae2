// A cluster as a queueing network: what a batch visits, for how long, and on which cores.

import { partitionOf, type PartitionId, type SpaceId } from '@engram/model';
import { assign } from '@engram/ring';
import type { Coefficients } from './coefficients.ts';
import { batchCosts, insertionUs, type Batch } from './costs.ts';
import type { CorePool, Network, Station } from './network.ts';
import { serviceTime, type Random } from './service-time.ts';
import { shardIds, workerOf } from './shares.ts';

/** Whose cores they are. */
export type Machines =
  /** Everything on one machine, whoever sends included. */
  | { readonly kind: 'shared'; readonly cores: number }
  /** Each process has its own. */
  | {
      readonly kind: 'separate';
      readonly coresPerShard: number;
      readonly coresPerGateway: number;
      readonly coresOfLog: number;
    };

export interface SimulatedCluster extends Batch {
  readonly shards: number;
  readonly gateways: number;
  /** Shards that apply each batch; it is searchable when all have. */
  readonly copies: number;
  /** Servers that store each batch. */
  readonly logReplicas: number;
  readonly partitions: number;
  readonly workersPerShard: number;
  readonly machines: Machines;
  /** How often each row is put into a graph, and how large those get; 0: no graphs. */
  readonly insertions: number;
  readonly graphRows: number;
}

const US = 1_000;
/** Of the Go runtime of nats-server and of V8's own threads: as many as there are cores. */
const THREADS_MAX = 64;

/** Placed once for each cluster, however often it is simulated. */
const PLACED = new WeakMap<SimulatedCluster, readonly (readonly number[])[]>();

/** The numbers of the shards that have each partition, by the ring. */
function ownersIn(cluster: SimulatedCluster): readonly (readonly number[])[] {
  const placed = PLACED.get(cluster);
  if (placed !== undefined) return placed;
  const { copies, partitions, shards } = cluster;
  const assignment = assign(shardIds(shards), partitions, copies);
  const numbers = new Map(shardIds(shards).map((id, index) => [id, index]));
  const owners = Array.from({ length: partitions }, (_, partition) =>
    assignment.owners(partition as PartitionId).map((owner) => numbers.get(owner)!),
  );
  PLACED.set(cluster, owners);
  return owners;
}

interface Shard {
  readonly main: Station;
  readonly workers: readonly Station[];
}

/** Sends batches through a network that it has built. */
export class ClusterNetwork {
  readonly stations: Station[] = [];
  readonly #network: Network;
  readonly #random: Random;
  readonly #cluster: SimulatedCluster;
  readonly #coefficients: Coefficients;
  readonly #client: Station | undefined;
  readonly #gateways: readonly { readonly main: Station; readonly others: Station }[];
  readonly #log: Station;
  readonly #shards: readonly Shard[];
  readonly #ownersOf: (space: SpaceId) => readonly number[];
  readonly #costs: ReturnType<typeof batchCosts>;
  readonly #graphUs: number;
  #sent = 0;

  constructor(
    network: Network,
    cluster: SimulatedCluster,
    coefficients: Coefficients,
    random: Random,
  ) {
    this.#network = network;
    this.#random = random;
    this.#cluster = cluster;
    this.#coefficients = coefficients;
    this.#costs = batchCosts(coefficients, cluster);
    const { batch, dimension, graphRows, insertions } = cluster;
    this.#graphUs = batch * insertions * insertionUs(coefficients, dimension, graphRows);
    const pools = this.#pools();
    const station = (name: string, threads: number, pool: CorePool) => {
      const made = network.station(name, threads, pool);
      this.stations.push(made);
      return made;
    };
    const { machines } = cluster;
    // Who sends to a real cluster has a machine of its own, and its time is not the cluster's.
    this.#client = machines.kind === 'shared' ? station('client', 1, pools.log) : undefined;
    this.#gateways = pools.gateways.map((pool, index) => ({
      main: station(`gateway-${index + 1}`, 1, pool),
      others: station(`gateway-${index + 1}, other threads`, THREADS_MAX, pool),
    }));
    this.#log = station('log', THREADS_MAX, pools.log);
    this.#shards = pools.shards.map((pool, index) => ({
      main: station(`shard-${index + 1}`, 1, pool),
      workers: Array.from({ length: cluster.workersPerShard }, (_, worker) =>
        station(`shard-${index + 1}, worker ${worker + 1}`, 1, pool),
      ),
    }));
    const owners = ownersIn(cluster);
    this.#ownersOf = (space) => owners[partitionOf(space, cluster.partitions)]!;
  }

  /** What the threads of the shards have still to build, in milliseconds of one core. */
  get graphsLeftMs(): number {
    return this.#shards
      .flatMap(({ workers }) => workers)
      .reduce((sum, { backgroundMs }) => sum + backgroundMs, 0);
  }

  /** From the client until all copies have it. */
  send(space: SpaceId, searchable: () => void): void {
    const gateway = this.#gateways[this.#sent++ % this.#gateways.length]!;
    const { gatewayMainShare, wakeUs } = this.#coefficients.cpu;
    const stored = () => {
      const owners = this.#ownersOf(space);
      let left = owners.length;
      for (const owner of owners)
        this.#deliver(space, this.#shards[owner]!, () => {
          if (--left === 0) this.#network.after(this.#coefficients.waitMs, searchable);
        });
    };
    const store = () => {
      // The other replicas store it at the same time, on cores of theirs where they have some.
      this.#work(this.#log, this.#costs.store, stored, wakeUs.log);
      for (let i = 1; i < this.#cluster.logReplicas; i++) this.#aside(this.#log, this.#costs.store);
    };
    const receive = () => {
      this.#aside(gateway.others, this.#costs.gateway * (1 - gatewayMainShare));
      this.#work(gateway.main, this.#costs.gateway * gatewayMainShare, store, wakeUs.gateway);
    };
    if (this.#client === undefined) receive();
    else this.#work(this.#client, this.#costs.client, receive);
  }

  #deliver(space: SpaceId, { main, workers }: Shard, applied: () => void): void {
    const { applyMainShare, wakeUs } = this.#coefficients.cpu;
    const { apply, deliver } = this.#costs;
    const worker = workers[workerOf(space, workers.length)]!;
    const built = () => {
      if (this.#graphUs > 0) this.#network.background(worker, this.#graphUs / US);
      applied();
    };
    // Of the other threads the worker is not told apart: what they do is what a batch waits for.
    const worked = () =>
      this.#work(worker, apply * (1 - applyMainShare), built, wakeUs.shard * (1 - applyMainShare));
    this.#work(this.#log, deliver, () =>
      this.#work(main, apply * applyMainShare, worked, wakeUs.shard * applyMainShare),
    );
  }

  #work(station: Station, usualUs: number, done: () => void, wakeUs = 0): void {
    const { variation } = this.#coefficients.cpu;
    const meanUs = usualUs + (station.isIdle ? wakeUs : 0);
    this.#network.work(station, serviceTime(meanUs / US, variation, this.#random), done);
  }

  /** What nobody waits for. */
  #aside(station: Station, meanUs: number): void {
    if (meanUs > 0) this.#work(station, meanUs, () => undefined);
  }

  /** Cores, without what idle processes take of them. */
  #pools(): {
    readonly gateways: readonly CorePool[];
    readonly log: CorePool;
    readonly shards: readonly CorePool[];
  } {
    const { gateways, machines, shards, workersPerShard } = this.#cluster;
    const { idle } = this.#coefficients.cpu;
    const idleShard = idle.shard + workersPerShard * idle.worker;
    const many = <T>(count: number, of: (index: number) => T) =>
      Array.from({ length: count }, (_, index) => of(index));
    if (machines.kind === 'shared') {
      const taken = idle.nats + idle.redis + gateways * idle.gateway + shards * idleShard;
      const pool = this.#network.pool('machine', Math.max(0.1, machines.cores - taken));
      return { gateways: many(gateways, () => pool), log: pool, shards: many(shards, () => pool) };
    }
    const { coresOfLog, coresPerGateway, coresPerShard } = machines;
    const pool = (name: string, cores: number, taken: number) =>
      this.#network.pool(name, Math.max(0.1, cores - taken));
    return {
      gateways: many(gateways, (i) => pool(`gateway-${i + 1}`, coresPerGateway, idle.gateway)),
      log: pool('log', coresOfLog, idle.nats),
      shards: many(shards, (i) => pool(`shard-${i + 1}`, coresPerShard, idleShard)),
    };
  }
}
