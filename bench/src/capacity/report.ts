import { cpus } from 'node:os';
import type { Coefficients, LinearBytes, StageCost } from '@engram/capacity';
import type { Figure } from '../figures/figure.ts';
import type { GroupReport, ReportTable } from '../group.ts';
import type { Measured } from '../groups/capacity.ts';
import { formatMs, formatRate, percentile } from '../samples.ts';
import { p99Of, rateOf, SENDERS } from './load.ts';
import { predicted, type ShardsRun } from './prediction.ts';

interface Compared {
  readonly shards: number;
  readonly cores: number;
  readonly measuredPerS: number;
  readonly simulatedPerS: number;
  readonly error: number;
  readonly loads: readonly {
    readonly share: number;
    readonly perS: number;
    readonly measuredMs: readonly [p50: number, p99: number];
    readonly simulatedMs: readonly [p50: number, p99: number];
    readonly notAccepted: number;
  }[];
}

export function capacityReport(measured: Measured, coefficients: Coefficients): GroupReport {
  const compared = measured.shards.map((run) => compare(run, coefficients));
  return {
    tables: [
      stageTable(coefficients),
      bytesTable(coefficients),
      throughputTable(compared),
      delayTable(compared),
    ],
    notes: [
      `costs are of batches of several dimensions and sizes, each of ${SENDERS} senders that wait until their batch is searchable, on one shard, without graphs and checkpoints; those of graphs are of rows written beside nothing else until all were in them`,
      `simulated is by the costs of one shard, and by its p99 at a tenth of its load: of one shard the throughput is no prediction, of more it is`,
      `cores are what others on this machine of ${cpus().length} left during the run; load generator, gateway, log and shards share them`,
      'for p99 batches come by chance (Poisson), at shares of what the same shards took at most',
    ],
    figures: figuresOf(compared),
    data: {
      coefficients,
      compared,
      measured: {
        ...measured,
        stages: measured.stages.map(({ load, ...stage }) => ({ ...stage, load: brief(load) })),
        shards: measured.shards.map(({ saturated, low, loads, ...run }) => ({
          ...run,
          saturated: brief(saturated),
          low: low && { ...low, load: brief(low.load) },
          loads: loads.map(({ load, ...open }) => ({ ...open, load: brief(load) })),
        })),
      },
    },
  };
}

function compare(run: ShardsRun, coefficients: Coefficients): Compared {
  const { saturated, loads, shards } = run;
  const measuredPerS = rateOf(saturated);
  const simulatedPerS = predicted(run, coefficients).throughputPerS;
  return {
    shards,
    cores: saturated.cores,
    measuredPerS,
    simulatedPerS,
    error: simulatedPerS / measuredPerS - 1,
    loads: loads.map(({ share: of, perS, load }) => {
      const { p50Ms, p99Ms } = predicted(run, coefficients, { kind: 'open', perS });
      const { accepted, latenciesMs, notSent, sent } = load.result;
      return {
        share: of,
        perS,
        measuredMs: [percentile(latenciesMs, 50), p99Of(load)],
        simulatedMs: [p50Ms, p99Ms],
        notAccepted: sent - accepted + notSent,
      };
    }),
  };
}

function throughputTable(compared: readonly Compared[]): ReportTable {
  return {
    title: 'observations a second at saturation, searchable',
    head: ['shards', 'cores left', 'measured/s', 'simulated/s', 'error'],
    rows: compared.map(({ shards, cores, measuredPerS, simulatedPerS, error }) => [
      String(shards),
      cores.toFixed(2),
      formatRate(measuredPerS),
      formatRate(simulatedPerS),
      signed(error),
    ]),
  };
}

function delayTable(compared: readonly Compared[]): ReportTable {
  return {
    title: 'observe→searchable, ms',
    head: [
      'shards, load',
      'offered/s',
      'p50',
      'simulated',
      'p99',
      'simulated',
      'error',
      'not taken',
    ],
    rows: compared.flatMap(({ shards, loads }) =>
      loads.map(({ share, perS, measuredMs, simulatedMs, notAccepted }) => [
        `${shards}, ${(share * 100).toFixed(0)} %`,
        formatRate(perS),
        formatMs(measuredMs[0]),
        formatMs(simulatedMs[0]),
        formatMs(measuredMs[1]),
        formatMs(simulatedMs[1]),
        signed(simulatedMs[1] / measuredMs[1] - 1),
        String(notAccepted),
      ]),
    ),
  };
}

function stageTable({ cpu, waitMs }: Coefficients): ReportTable {
  const row = (name: string, { perBatchUs, perObservationUs, perByteUs }: StageCost) => [
    name,
    perBatchUs.toFixed(0),
    perObservationUs.toFixed(2),
    (perByteUs * 1_024).toFixed(3),
  ];
  const { fixedUs, perDimensionUs, perDoublingUs } = cpu.graph;
  return {
    title: `µs of a core; main threads: ${share(cpu.gatewayMainShare)} of a gateway, ${share(cpu.applyMainShare)} of a shard; variation ${cpu.variation.toFixed(2)}, wait ${formatMs(waitMs)} ms; µs more for a batch that finds nothing going on: gateway ${cpu.wakeUs.gateway.toFixed(0)}, log ${cpu.wakeUs.log.toFixed(0)}, shard ${cpu.wakeUs.shard.toFixed(0)}`,
    head: ['stage', 'a batch', 'an observation', 'a KiB'],
    rows: [
      row('client (load generator)', cpu.client),
      row('gateway', cpu.gateway),
      row('log, storing', cpu.store),
      row('log, delivering', cpu.deliver),
      row('shard, until searchable', cpu.apply),
      [
        'shard, graph',
        '',
        `${fixedUs.toFixed(1)} + ${perDimensionUs.toFixed(3)} · dimension + ${perDoublingUs.toFixed(1)} · log2(rows)`,
        '',
      ],
    ],
  };
}

function bytesTable({ memory, log, disk }: Coefficients): ReportTable {
  const row = (name: string, { fixedBytes, perDimensionBytes }: LinearBytes) => [
    name,
    fixedBytes.toFixed(0),
    perDimensionBytes.toFixed(2),
  ];
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  return {
    title: `bytes; an empty shard ${mib(memory.shardBytes)}, a gateway ${mib(memory.gatewayBytes)}, a space ${memory.perSpaceBytes.toFixed(0)} bytes`,
    head: ['of an observation', 'fixed', 'for each dimension'],
    rows: [
      row('private memory, growing, graph included', memory.growing),
      row('private memory, sealed', memory.sealed),
      row('log', log),
      row('data folder, sealed', disk.folder),
      row('checkpoints', disk.checkpoint),
    ],
  };
}

function figuresOf(compared: readonly Compared[]): readonly Figure[] {
  return compared.flatMap(({ shards, measuredPerS, error, loads }): Figure[] => {
    const of = shards === 1 ? '1 shard' : `${shards} shards`;
    return [
      { name: `${of}, searchable`, unit: '1/s', better: 'higher', samples: [measuredPerS] },
      { name: `${of}, simulated`, unit: 'share', better: 'lower', samples: [Math.abs(error)] },
      ...loads.map(({ share: load, measuredMs: [, p99] }): Figure => ({
        name: `${of}, p99 at ${(load * 100).toFixed(0)} %`,
        unit: 'ms',
        better: 'lower',
        samples: [p99],
      })),
    ];
  });
}

/** Without a number for each batch. */
function brief<T extends { readonly result: { readonly latenciesMs: readonly number[] } }>(
  measured: T,
): object {
  const { latenciesMs, ...tally } = measured.result;
  const quantilesMs = [50, 90, 99, 100].map((percent) => percentile(latenciesMs, percent));
  return { ...measured, result: { ...tally, quantilesMs } };
}

function share(value: number): string {
  return `${(value * 100).toFixed(0)} %`;
}

function signed(error: number): string {
  return `${error < 0 ? '−' : '+'}${Math.abs(error * 100).toFixed(0)} %`;
}
