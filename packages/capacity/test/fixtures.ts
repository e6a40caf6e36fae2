import { readFileSync } from 'node:fs';
import { parseCoefficients, type Coefficients } from '../src/coefficients.ts';
import type { SimulatedCluster } from '../src/cluster-network.ts';
import { DEMAND_DEFAULTS, type Demand } from '../src/demand.ts';

/** What the package comes with. */
export const DEFAULTS: Coefficients = parseCoefficients(
  JSON.parse(readFileSync(new URL('../defaults.json', import.meta.url), 'utf8')),
);

const stage = (perBatchUs: number) => ({ perBatchUs, perObservationUs: 0, perByteUs: 0 });

/** Round numbers, so that what follows from them can be said: a batch takes 1 ms of the gateway and so on. */
export const ROUND: Coefficients = {
  ...DEFAULTS,
  cpu: {
    client: stage(0),
    gateway: stage(1_000),
    store: stage(500),
    deliver: stage(500),
    apply: stage(2_000),
    graph: { fixedUs: 10, perDimensionUs: 0.1, perDoublingUs: 0 },
    gatewayMainShare: 1,
    applyMainShare: 0.5,
    variation: 1,
    wakeUs: { gateway: 0, log: 0, shard: 0 },
    idle: { gateway: 0, shard: 0, worker: 0, nats: 0, redis: 0 },
  },
  waitMs: 0,
  memory: {
    growing: { fixedBytes: 100, perDimensionBytes: 5 },
    sealed: { fixedBytes: 20, perDimensionBytes: 0 },
    perSpaceBytes: 10_000,
    shardBytes: 100_000_000,
    gatewayBytes: 100_000_000,
  },
  log: { fixedBytes: 0, perDimensionBytes: 4 },
  disk: {
    folder: { fixedBytes: 200, perDimensionBytes: 5 },
    checkpoint: { fixedBytes: 200, perDimensionBytes: 5 },
  },
};

export const CLUSTER: SimulatedCluster = {
  dimension: 100,
  batch: 10,
  metadataBytes: 0,
  shards: 2,
  gateways: 1,
  copies: 1,
  logReplicas: 1,
  partitions: 64,
  workersPerShard: 2,
  machines: { kind: 'separate', coresPerShard: 2, coresPerGateway: 2, coresOfLog: 2 },
  insertions: 0,
  graphRows: 0,
};

export const DEMAND: Demand = {
  ...DEMAND_DEFAULTS,
  ratePerS: 10_000,
  dimension: 100,
  spaces: 200,
  retentionMs: 3_600_000,
};
