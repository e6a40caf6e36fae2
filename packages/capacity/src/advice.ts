// What a plan takes for granted, and what it says against what was asked.

import type { Coefficients } from './coefficients.ts';
import { GRAPH_ROWS_MIN } from './costs.ts';
import type { Demand } from './demand.ts';
import type { Plan } from './plan.ts';
import { limitsOf, observationCosts, rowsOf } from './shard-load.ts';

type Planned = Omit<Plan, 'assumptions' | 'warnings'>;

/** From here on a p99 is many times a median. */
const UTILISATION_SILLY = 0.9;
/** Of what a gateway does for a request, by the request and not by what is in it. */
const REQUEST_SHARE_MAX = 0.5;
/** Beyond that nobody has tried it. */
const OBSERVATIONS_SILLY = 1e10;
const [HOUR_MS, DAY_MS] = [3_600_000, 86_400_000];
/** Of a row in a graph: an int8 for each dimension, and 32 links of 4 bytes (`m` 16) with what tells where they end. */
const GRAPH_ROW_BYTES = 140;

const GROUPED = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });
const percent = (share: number) => `${SHORT.format(share * 100)} %`;
const gib = (bytes: number) => `${SHORT.format(bytes / 2 ** 30)} GiB`;

function lifetime(ms: number): string {
  return ms < DAY_MS ? `${SHORT.format(ms / HOUR_MS)} h` : `${SHORT.format(ms / DAY_MS)} d`;
}

export function assumptionsOf(
  demand: Demand,
  { machine }: Coefficients,
  { shards, partitions, shares }: Planned,
): readonly string[] {
  const { batch, copies, coresPerShard, logReplicas, spaces, utilisation } = demand;
  const { each, growing } = rowsOf(demand);
  const evenly = 1 / shards;
  const said = [
    `costs are those of ${machine.cpu}, ${machine.cores} cores, measured ${machine.date.slice(0, 10)} at commit ${machine.commit}: another machine is faster or slower by as much as its cores are`,
    `at the busiest ${percent(utilisation)} of cores, threads and memory are used; ${percent(1 - utilisation)} are for queues to stay short, for recalls, which are not counted, and for a shard that is gone`,
    `batches of ${batch} as binary frames in the lane normal; JSON takes several times as much of a gateway`,
    `all ${GROUPED.format(spaces)} spaces are written equally; by the ring's placement of made-up names over ${partitions} partitions the fullest of ${shards} shards has ${percent(shares.shard)} of the work, where ${percent(evenly)} is even`,
    `an observation lives ${lifetime(demand.retentionMs)}: ${GROUPED.format(each)} in a space; its writer deletes or overwrites it then, the oldest first, and deletes cost nothing here`,
    copies === 1
      ? 'one copy of each partition (ENGRAM_REPLICATION 1): while a shard is replaced its spaces are not answered'
      : `${copies} copies of each partition (ENGRAM_REPLICATION): each is delivered, applied and built by a shard of its own`,
    `the log is on ${logReplicas} ${logReplicas === 1 ? 'server' : 'servers'} (ENGRAM_LOG_REPLICAS), each of which stores everything; it keeps an hour`,
    'delays are simulated, without collections of garbage and whatever else runs on a machine: on two cores measured p99 were 0.8 to 9 times as long, twice in the middle',
    `a shard has ${coresPerShard} cores, as many workers, and ${gib(demand.memoryPerShardBytes)} of private memory (ENGRAM_MEMORY_HARD_BYTES, which is 8 GiB at most unless it is set)`,
  ];
  if (each < GRAPH_ROWS_MIN)
    said.push(`below ${GROUPED.format(GRAPH_ROWS_MIN)} observations a space has no graph`);
  else if (each > growing)
    said.push(
      'a row is put into a graph again for each class of segments that its space outgrows, and at most 2.8 times more as others of its segment die; where whole segments die at once it is less',
      'memory is private memory; graphs of sealed segments are read from files, and a recall whose graph is not in the page cache waits for the disk',
    );
  return said;
}

/** What the graphs of sealed segments take of the page cache where recalls shall not wait for the disk, a shard. */
export function pageCacheBytesOf(demand: Demand, shards: number): number {
  const { copies, dimension, spaces } = demand;
  const { each, growing } = rowsOf(demand);
  if (each < GRAPH_ROWS_MIN || each <= growing) return 0;
  return ((dimension + GRAPH_ROW_BYTES) * each * spaces * copies) / shards;
}

export function warningsOf(
  demand: Demand,
  coefficients: Coefficients,
  planned: Planned,
): readonly string[] {
  const { batch, copies, memoryPerShardBytes, partitions, ratePerS, spaces, utilisation } = demand;
  const warnings: string[] = [];
  const space = ratePerS / spaces;
  const alone = limitsOf(coefficients, demand, {
    shard: 1 / (spaces * copies),
    worker: 1 / (spaces * copies),
    spacesOfShard: 1,
  });
  for (const { what, perS } of alone)
    if (ratePerS > perS * utilisation)
      warnings.push(
        `a space lives on one partition, and each of its copies on one shard: its ${GROUPED.format(space)} observations a second take ${SHORT.format((ratePerS / perS) * 100)} % of the ${what} there; more shards do not help, more spaces do`,
      );
  if (!planned.isEnough && warnings.length === 0)
    warnings.push(
      `${planned.shards} shards are not enough, and more would not help: they are spread over ${planned.partitions} partitions and ${GROUPED.format(spaces)} spaces`,
    );
  if (partitions !== undefined && planned.shards * 2 > partitions * copies)
    warnings.push(
      `${planned.shards} shards share ${partitions} partitions (ENGRAM_PARTITIONS) unevenly; the number is fixed when a cluster is made`,
    );
  if (partitions === undefined && planned.partitions > 64)
    warnings.push(
      `make the cluster with ENGRAM_PARTITIONS=${planned.partitions}: the default of 64 is too few for so many shards, and cannot be changed later`,
    );
  if (planned.memoryPerShardBytes > memoryPerShardBytes)
    warnings.push(
      `the fullest shard would have ${gib(planned.memoryPerShardBytes)} of private memory, and may have ${gib(memoryPerShardBytes)}`,
    );
  if (utilisation > UTILISATION_SILLY)
    warnings.push(
      `at ${percent(utilisation)} every burst becomes a queue: the slowest hundredth waits many times as long as the rest`,
    );
  const { perBatchUs } = coefficients.cpu.gateway;
  const request = observationCosts(coefficients, demand).gateway * batch;
  if (perBatchUs > request * REQUEST_SHARE_MAX && planned.gateways > 1)
    warnings.push(
      `${percent(perBatchUs / request)} of what gateways do is for requests, not for what is in them: larger batches would need fewer gateways`,
    );
  if (planned.coresBusy.log > 1)
    warnings.push(
      `the log takes ${SHORT.format(planned.coresBusy.log)} cores, and one stream has one writer: spread it over ENGRAM_STRIPES=${stripesFor(planned.coresBusy.log, utilisation)}, fixed when a cluster is made`,
    );
  if (planned.observations > OBSERVATIONS_SILLY)
    warnings.push(
      `${GROUPED.format(planned.observations)} observations would live: that is far from what was ever tried; is the retention meant?`,
    );
  return warnings;
}

function stripesFor(cores: number, utilisation: number): number {
  return 2 ** Math.ceil(Math.log2(cores / utilisation));
}
