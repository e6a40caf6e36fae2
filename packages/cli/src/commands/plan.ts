import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { DEMAND_DEFAULTS, parseCoefficients, plan, type Coefficients } from '@engram/capacity';
import { LIMITS, SPACE_LIMITS } from '@engram/model';
import { Command, InvalidArgumentError, Option } from 'commander';
import { integerIn, warningLine } from '../format.ts';
import { jsonOption, printJson, printNote, reporting, UsageError } from '../output.ts';
import { delaysOf, planText } from '../plan/plan-text.ts';
import { printable } from '../printable.ts';

interface Options {
  readonly rate: number;
  readonly dimension: number;
  readonly spaces: number;
  readonly retention: number;
  readonly replicas: number;
  readonly logReplicas: number;
  readonly batch: number;
  readonly metadata: number;
  readonly coresPerShard: number;
  readonly memoryPerShard: number;
  readonly partitions?: number;
  readonly utilisation: number;
  readonly coefficients?: string;
  readonly json?: boolean;
}

/** Beyond these a slip of the keyboard is more probable than a cluster. */
const RATE_MAX = 100_000_000;
const SPACES_MAX = 10_000_000;
const PARTITIONS_MAX = 65_536;
const CORES_MAX = 256;
const MEMORY_GIB_MAX = 4_096;
const UTILISATION_PERCENT = [10, 95] as const;
const RETENTION_DAYS_MAX = 3_650;
/** As of other commands whose answer is no. */
const EXIT_NOT_ENOUGH = 1;
const GIB = 2 ** 30;
const DAY_MS = 86_400_000;
const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: DAY_MS,
};

/** `engram plan`: how large a cluster has to be, computed here. */
export function planCommand(): Command {
  const defaults = DEMAND_DEFAULTS;
  return new Command('plan')
    .description('compute how large a cluster has to be; no cluster is asked')
    .requiredOption('--rate <n>', 'observations a second, at the busiest', integerIn(1, RATE_MAX))
    .requiredOption(
      '--dimension <n>',
      'of the embeddings',
      integerIn(SPACE_LIMITS.dimension.min, SPACE_LIMITS.dimension.max),
    )
    .option('--spaces <n>', 'written equally', integerIn(1, SPACES_MAX), 100)
    .addOption(
      new Option('--retention <time>', 'how long an observation lives (90s, 10m, 2h, 1d)')
        .argParser(lifetime)
        .default(DAY_MS, '1d'),
    )
    .option('--replicas <n>', 'copies of each partition', integerIn(1, 3), defaults.copies)
    .option(
      '--log-replicas <n>',
      'servers that hold the log: 1, 3 or 5',
      servers,
      defaults.logReplicas,
    )
    .option(
      '--batch <n>',
      'observations in a request',
      integerIn(1, LIMITS.batchCountMax),
      defaults.batch,
    )
    .option(
      '--metadata <bytes>',
      'of an observation, as JSON',
      integerIn(0, LIMITS.metadataBytesMax),
      defaults.metadataBytes,
    )
    .option(
      '--cores-per-shard <n>',
      'of the machine of a shard',
      integerIn(1, CORES_MAX),
      defaults.coresPerShard,
    )
    .option(
      '--memory-per-shard <GiB>',
      'private memory that a shard may have',
      integerIn(1, MEMORY_GIB_MAX),
      defaults.memoryPerShardBytes / GIB,
    )
    .option(
      '--partitions <n>',
      'of the cluster; default: what the shards want',
      integerIn(1, PARTITIONS_MAX),
    )
    .option(
      '--utilisation <percent>',
      'of cores, threads and memory that may be used at the busiest',
      integerIn(...UTILISATION_PERCENT),
      defaults.utilisation * 100,
    )
    .option(
      '--coefficients <file>',
      'what an observation costs, as pnpm bench capacity measures it; default: as measured for this version',
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Writes are planned; recalls take what is left over. Ends with 1 where no number of shards is enough.
The plan multiplies what an observation costs; how long batches wait for each other is simulated, for
one shard less and one more too. Both are as good as the costs: measure yours on a machine like those
of the cluster, with pnpm bench capacity.

Examples:
  $ engram plan --rate 20000 --dimension 768 --spaces 1000 --retention 7d --replicas 2
  $ engram plan --rate 100000 --dimension 384 --coefficients bench/results/capacity.json`,
    )
    .action(
      reporting((options: Options) => {
        const coefficients = coefficientsOf(options.coefficients);
        const demand = {
          ratePerS: options.rate,
          dimension: options.dimension,
          spaces: options.spaces,
          retentionMs: options.retention,
          copies: options.replicas,
          logReplicas: options.logReplicas,
          batch: options.batch,
          metadataBytes: options.metadata,
          coresPerShard: options.coresPerShard,
          memoryPerShardBytes: options.memoryPerShard * GIB,
          partitions: options.partitions,
          utilisation: options.utilisation / 100,
        };
        const planned = plan(demand, coefficients);
        const delays = delaysOf(demand, coefficients, planned);
        if (options.json === true) printJson({ demand, ...planned, delays });
        else console.log(planText(demand, planned, delays));
        if (!planned.isEnough) process.exitCode = EXIT_NOT_ENOUGH;
        for (const warning of planned.warnings) printNote(warningLine(printable(warning)));
        return Promise.resolve();
      }),
    );
}

/** @throws UsageError when they cannot be read, or are not what the bench writes */
function coefficientsOf(path: string | undefined): Coefficients {
  if (path === undefined)
    return parseCoefficients(createRequire(import.meta.url)('@engram/capacity/defaults.json'));
  try {
    return parseCoefficients(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    throw new UsageError(`--coefficients ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** For commander: a time with its unit. */
function lifetime(text: string): number {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNITS_MS[unit ?? ''] ?? NaN);
  if (ms > 0 && ms <= RETENTION_DAYS_MAX * DAY_MS) return ms;
  throw new InvalidArgumentError(
    `It must be a time such as 90s, 10m, 2h or 1d, of ${RETENTION_DAYS_MAX} days at most.`,
  );
}

/** For commander: a majority of servers has to agree, so JetStream takes odd numbers only. */
function servers(text: string): number {
  if (['1', '3', '5'].includes(text)) return Number(text);
  throw new InvalidArgumentError('It must be 1, 3 or 5.');
}
