// What only a simulation tells of one shard's loads: how much batches differ, what waking up costs, what is left.

import type { Coefficients, StageCost } from '@engram/capacity';
import { percentile } from '../samples.ts';
import { rateOf } from './load.ts';
import type { CpuUse } from './meter.ts';
import { joined, predicted, type ShardsRun } from './prediction.ts';
import { batchUs, idleOfShard } from './stages.ts';

const BATCHES = 6_000;
const ROUNDS = 4;
const HALVINGS = 7;
/** Beyond that a simulation of this length is chance. */
const VARIATION_MAX = 3;

/**
 * Fits to one shard: costs, so that it takes as much as was measured; the variation, so that the slowest hundredth
 * at a low load is as slow; and what is no processor time, so that the middle there is. Each disturbs the others a
 * little, so they take turns.
 */
export function calibrated(run: ShardsRun, coefficients: Coefficients): Coefficients {
  let fit = withWakes(run, coefficients);
  for (let round = 0; round < ROUNDS; round++) {
    fit = withVariation(run, fit);
    const simulatedPerS = predicted(run, fit, undefined, BATCHES).throughputPerS;
    fit = withCostsOf(fit, simulatedPerS / rateOf(run.saturated));
  }
  return fit;
}

/**
 * A batch takes more when nothing else goes on: so much more than at saturation. By two loads, because at the
 * lowest there are few batches, and most of the time is of what goes on anyway.
 */
function withWakes({ loads, low, saturated }: ShardsRun, coefficients: Coefficients): Coefficients {
  const [first] = loads;
  if (low === undefined || first === undefined) return coefficients;
  const { cpu } = coefficients;
  const idling = joined(low.load, first.load);
  const more = (of: (use: CpuUse) => number, idle: number) =>
    Math.max(0, batchUs(idling, of, idle) - batchUs(saturated, of, idle));
  const wakeUs = {
    gateway: more(({ gateway }) => gateway, cpu.idle.gateway),
    log: more(({ nats }) => nats, cpu.idle.nats),
    shard: more(({ shards }) => shards, idleOfShard(cpu.idle)),
  };
  return { ...coefficients, cpu: { ...cpu, wakeUs } };
}

function withVariation(run: ShardsRun, coefficients: Coefficients): Coefficients {
  const { low } = run;
  if (low === undefined) return coefficients;
  const { latenciesMs } = low.load.result;
  const having = (variation: number, waitMs: number): Coefficients => ({
    ...coefficients,
    waitMs,
    cpu: { ...coefficients.cpu, variation },
  });
  const arrivals = { kind: 'open', perS: low.perS } as const;
  const simulated = (variation: number) => predicted(run, having(variation, 0), arrivals, BATCHES);
  const p99Ms = percentile(latenciesMs, 99);
  let [least, most] = [0, VARIATION_MAX];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (least + most) / 2;
    if (simulated(middle).p99Ms < p99Ms) least = middle;
    else most = middle;
  }
  const waitMs = Math.max(0, percentile(latenciesMs, 50) - simulated(most).p50Ms);
  return having(most, waitMs);
}

function withCostsOf(coefficients: Coefficients, factor: number): Coefficients {
  const { cpu } = coefficients;
  const times = ({ perBatchUs, perObservationUs, perByteUs }: StageCost): StageCost => ({
    perBatchUs: perBatchUs * factor,
    perObservationUs: perObservationUs * factor,
    perByteUs: perByteUs * factor,
  });
  return {
    ...coefficients,
    cpu: {
      ...cpu,
      client: times(cpu.client),
      gateway: times(cpu.gateway),
      store: times(cpu.store),
      deliver: times(cpu.deliver),
      apply: times(cpu.apply),
    },
  };
}
