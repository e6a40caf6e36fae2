import type { SimulatedCluster } from './cluster-network.ts';
import type { Demand } from './demand.ts';
import type { Coefficients } from './coefficients.ts';
import { limitsFor, type Plan } from './plan.ts';
import { segmentRows } from './costs.ts';
import { graphCosts, observationCosts, rowsOf } from './shard-load.ts';

const US_PER_S = 1_000_000;
/** Its main thread has one of them, the rest of the process the other. */
const CORES_PER_GATEWAY = 2;
const CORES_OF_LOG_MIN = 2;

/** The planned cluster with so many shards, each process on cores of its own. */
export function simulatedOf(
  demand: Demand,
  coefficients: Coefficients,
  { coresBusy, gateways, partitions }: Plan,
  shards: number,
): SimulatedCluster {
  const { batch, copies, coresPerShard, dimension, logReplicas, metadataBytes } = demand;
  const costs = observationCosts(coefficients, demand);
  return {
    batch,
    dimension,
    metadataBytes,
    shards,
    gateways,
    copies: Math.min(copies, shards),
    logReplicas,
    partitions,
    workersPerShard: coresPerShard,
    machines: {
      kind: 'separate',
      coresPerShard,
      coresPerGateway: CORES_PER_GATEWAY,
      coresOfLog: coresOfLog(demand, coresBusy.log),
    },
    insertions: costs.graph === 0 ? 0 : graphCosts(costs) / costs.graph,
    graphRows: Math.min(rowsOf(demand).growing, segmentRows(demand)),
  };
}

/**
 * Observations a second that the simulated cluster takes at most: when the first of its threads or cores is
 * used up (the bottleneck of operational analysis, Denning and Buzen 1978). Memory fills over days and delays
 * nothing until then, so it is not among them.
 */
export function throughputMaxOf(
  demand: Demand,
  coefficients: Coefficients,
  { coresBusy, gateways, partitions }: Plan,
  shards: number,
): number {
  const { limits } = limitsFor(demand, coefficients, shards, partitions);
  const { gateway, store, deliver } = observationCosts(coefficients, demand);
  const { gatewayMainShare, idle } = coefficients.cpu;
  const logged = store * demand.logReplicas + deliver * Math.min(demand.copies, shards);
  const mainUs = gateway * Math.max(gatewayMainShare, 1 / (CORES_PER_GATEWAY - idle.gateway));
  return Math.min(
    (gateways * US_PER_S) / mainUs,
    ((coresOfLog(demand, coresBusy.log) - idle.nats) * US_PER_S) / logged,
    ...limits.flatMap(({ what, perS }) => (what === 'memory' ? [] : [perS])),
  );
}

function coresOfLog({ utilisation }: Demand, busy: number): number {
  return Math.max(CORES_OF_LOG_MIN, Math.ceil(busy / utilisation));
}
