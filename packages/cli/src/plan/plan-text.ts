import {
  pageCacheBytesOf,
  seededRandom,
  simulate,
  simulatedOf,
  throughputMaxOf,
  type Coefficients,
  type Demand,
  type Plan,
} from '@engram/capacity';
import { bytesText, counted } from '@engram/diagnosis';
import Table from 'cli-table3';
import { printable } from '../printable.ts';

/** How long batches take with so many shards, by how much comes. */
export interface Delays {
  readonly shards: number;
  readonly loads: readonly {
    readonly offeredPerS: number;
    /** Undefined where more comes than so many shards take: the queues only grow. */
    readonly p50Ms?: number;
    readonly p99Ms?: number;
  }[];
}

/** Of what the planned number of shards can take; beside them what is asked. */
const LOADS = [0.5, 0.7, 0.85, 0.95];
const BATCHES = 3_000;
const SEED = 7;
/** Far more than batches are simulated: most would come once. */
const SPACES_SIMULATED_MAX = 20_000;
/** With more it takes long, and one more or less makes no difference. */
const SIMULATED_SHARDS_MAX = 64;
const STYLE = { style: { head: [], border: [], compact: true } };

/** Simulated for one shard less, as many as planned, and one more; the same in every call. */
export function delaysOf(demand: Demand, coefficients: Coefficients, planned: Plan): Delays[] {
  const { shards } = planned;
  if (shards > SIMULATED_SHARDS_MAX) return [];
  const capacity = Math.min(
    planned.capacityPerS,
    throughputMaxOf(demand, coefficients, planned, shards),
  );
  const offered = [demand.ratePerS, ...LOADS.map((load) => load * capacity)];
  return [shards - 1, shards, shards + 1]
    .filter((count) => count >= Math.max(1, demand.copies))
    .map((count) => {
      const cluster = simulatedOf(demand, coefficients, planned, count);
      const most = throughputMaxOf(demand, coefficients, planned, count);
      const loads = offered.map((offeredPerS) => {
        if (offeredPerS >= most) return { offeredPerS };
        const { p50Ms, p99Ms } = simulate({
          cluster,
          coefficients,
          arrivals: { kind: 'open', perS: offeredPerS },
          spaces: Math.min(demand.spaces, SPACES_SIMULATED_MAX),
          batches: BATCHES,
          random: seededRandom(SEED),
        });
        return { offeredPerS, p50Ms, p99Ms };
      });
      return { shards: count, loads };
    });
}

export function planText(demand: Demand, planned: Plan, delays: readonly Delays[]): string {
  const { copies, dimension, ratePerS, spaces } = demand;
  const lines = [
    `${whole(ratePerS)} observations of ${counted(dimension, 'dimension')} a second into ${counted(spaces, 'space')}, ${copies === 1 ? '1 copy' : `${copies} copies`}`,
    ...(planned.isEnough ? [] : [notEnough(demand, planned)]),
    sizeTable(demand, planned),
    stageTable(planned),
    delays.length > 0
      ? `observe→searchable p99 (p50) in ms, simulated, by observations offered a second: as asked, and shares of what ${counted(planned.shards, 'shard')} can take; on two cores measured ones were 0.8 to 9 times as long\n${delayTable(delays)}`
      : `How long batches wait is simulated for ${SIMULATED_SHARDS_MAX} shards at most.`,
  ];
  lines.push('Taken for granted:', ...planned.assumptions.map((text) => `- ${printable(text)}`));
  return lines.join('\n');
}

/** What is printed is then the largest cluster that was tried, not one that does it. */
function notEnough({ ratePerS }: Demand, { shards, capacityPerS }: Plan): string {
  return `NOT ENOUGH: ${counted(shards, 'shard')} ${shards === 1 ? 'takes' : 'take'} ${whole(capacityPerS)}/s with nothing left over, of ${whole(ratePerS)}/s asked; the warnings say what would help`;
}

function sizeTable(demand: Demand, planned: Plan): string {
  const { coresPerShard, memoryPerShardBytes } = demand;
  const { shards, gateways, partitions, limits, capacityPerS, shares } = planned;
  const scarce = limits.find(({ perS }) => perS === capacityPerS)!;
  const table = new Table({ ...STYLE, head: ['what', 'needed', 'that is'] });
  table.push(
    [
      'shards',
      shards,
      `of ${counted(coresPerShard, 'core')} and ${bytesText(memoryPerShardBytes)} each`,
    ],
    ['gateways', gateways, 'one thread each does most of their work'],
    ['partitions', partitions, `the fullest shard has ${percent(shares.shard)} of the work`],
    ['they take', `${whole(capacityPerS)}/s`, `then the fullest shard has no more ${scarce.what}`],
    ['cores', planned.cores.toFixed(1), 'of all processes, busy no more than they may be'],
    [
      'memory of a shard',
      bytesText(planned.memoryPerShardBytes),
      `private, the fullest; all together ${bytesText(planned.memoryBytes)}`,
    ],
    [
      'page cache of a shard',
      bytesText(pageCacheBytesOf(demand, shards)),
      `for recalls that do not wait for the disk: a machine with ${bytesText(planned.memoryPerShardBytes + pageCacheBytesOf(demand, shards))} for both`,
    ],
    [
      'log',
      bytesText(planned.logBytes),
      `of an hour; ${bytesText(planned.logBytesMin)} at least, and ENGRAM_LOG_BYTES_MAX twice what is to stay`,
    ],
    [
      'disks of shards',
      bytesText(planned.folderBytes),
      `of ${whole(planned.observations)} observations that live`,
    ],
    ['blob store', bytesText(planned.checkpointBytes), 'checkpoints'],
  );
  return table.toString();
}

const STAGES: readonly [keyof Plan['coresBusy'], string][] = [
  ['gateway', 'gateways'],
  ['log', 'log: storing and delivering'],
  ['apply', 'shards: until searchable'],
  ['graph', 'shards: graphs'],
  ['merges', 'shards: graphs, merged as spaces grow'],
  ['rewrites', 'shards: graphs, anew as rows die'],
  ['idle', 'all: being there'],
];

function stageTable({ coresBusy }: Plan): string {
  const table = new Table({
    ...STYLE,
    head: ['stage', 'cores busy', 'of all'],
    colAligns: ['left', 'right', 'right'],
  });
  const all = Object.values(coresBusy).reduce((sum, cores) => sum + cores, 0);
  for (const [stage, text] of STAGES)
    table.push([text, coresBusy[stage].toFixed(2), percent(coresBusy[stage] / all)]);
  return table.toString();
}

function delayTable(delays: readonly Delays[]): string {
  const [{ loads }] = delays as [Delays];
  const table = new Table({
    ...STYLE,
    head: [
      'shards',
      ...loads.map(
        ({ offeredPerS }, i) =>
          `${i === 0 ? 'asked' : percent(LOADS[i - 1]!)}: ${whole(offeredPerS)}`,
      ),
    ],
    colAligns: ['right', ...loads.map(() => 'right' as const)],
  });
  for (const { shards, loads: each } of delays)
    table.push([
      shards,
      ...each.map(({ p50Ms, p99Ms }) =>
        p50Ms === undefined || p99Ms === undefined
          ? 'too much'
          : `${whole(p99Ms)} (${whole(p50Ms)})`,
      ),
    ]);
  return table.toString();
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}
