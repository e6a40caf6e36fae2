// The command `pnpm bench`, and the only file here that takes signals and sets the exit code.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findNatsServer, findRedisServer } from '@engram/local-cluster';
import { describeEnvironment } from './environment.ts';
import { compareFigures, differenceOf, readBaseline, saveBaseline } from './figures/baseline.ts';
import type { Figure } from './figures/figure.ts';
import { confirmed, isSame } from './figures/verdict.ts';
import type { Group } from './group.ts';
import { batches } from './groups/batches.ts';
import { capacity } from './groups/capacity.ts';
import { checkpoints } from './groups/checkpoints.ts';
import { cpu } from './groups/cpu.ts';
import { engines } from './groups/engines.ts';
import { engine } from './groups/engine.ts';
import { failover } from './groups/failover.ts';
import { feeds } from './groups/feeds.ts';
import { graph } from './groups/graph.ts';
import { ingest } from './groups/ingest.ts';
import { inserts } from './groups/inserts.ts';
import { limits } from './groups/limits.ts';
import { memory } from './groups/memory.ts';
import { overload } from './groups/overload.ts';
import { peers } from './groups/peers.ts';
import { pipes } from './groups/pipes.ts';
import { profiles } from './groups/profiles.ts';
import { queues } from './groups/queues.ts';
import { ramp } from './groups/ramp.ts';
import { recovery } from './groups/recovery.ts';
import { scaling } from './groups/scaling.ts';
import { sessions } from './groups/sessions.ts';
import { spaces } from './groups/spaces.ts';
import { storage } from './groups/storage.ts';
import { sweep } from './groups/sweep.ts';
import { tenants } from './groups/tenants.ts';
import { workers } from './groups/workers.ts';
import { parseOptions, UsageError, WORDS_DEFAULT, type BenchOptions } from './options.ts';
import { comparisonTable, htmlOf, markdownOf, type PageGroup } from './page/page.ts';
import {
  dataText,
  printEnvironment,
  printReport,
  printTable,
  requireWritable,
  writeJson,
  writeText,
} from './report.ts';
import { TimeLeft } from './time-left.ts';

const GROUPS: readonly Group[] = [
  inserts,
  engines,
  graph,
  engine,
  workers,
  queues,
  spaces,
  sweep,
  storage,
  feeds,
  pipes,
  ramp,
  batches,
  profiles,
  scaling,
  limits,
  cpu,
  memory,
  peers,
  ingest,
  recovery,
  failover,
  overload,
  sessions,
  tenants,
  checkpoints,
  capacity,
];
const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));
const EXIT_INTERRUPTED = 130;

/** For CI: the figures of something are worse than its baseline's. */
const EXIT_WORSE = 3;

const USAGE = `pnpm bench [name…] [--quick] [--repetitions N] [--words N] [--json FILE]
           [--report FOLDER] [--save-baseline NAME] [--baseline NAME]

${GROUPS.map(({ name, title }) => `  ${name.padEnd(11)} ${title}`).join('\n')}

  --quick               fewer repetitions and shorter loads: to try, not to compare
  --repetitions N       of each measurement (default 3, quick 1); a verdict needs 4 or more
  --words N             observations to import (default ${WORDS_DEFAULT})
  --json FILE           write the results there; a full run writes bench/results/<name>.json
  --report FOLDER       write report.html and report.md there
  --save-baseline NAME  keep the figures for later runs, in bench/baselines/NAME.json
  --baseline NAME       say of each figure whether it is better, the same or worse than there; a group with
                        something that is not is measured once more, and what is not so again is the same;
                        exit code ${EXIT_WORSE} when one is worse`;

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => {
    if (!stop.signal.aborted) console.error('stopping what was started …');
    stop.abort();
  });

// What nobody waits for must not end the process at once: servers that were started would go on without it.
process.on('unhandledRejection', (error) => {
  if (stop.signal.aborted) return;
  console.error(error);
  process.exitCode = 1;
  stop.abort();
});

try {
  await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  if (error instanceof UsageError) console.error(error.message);
  else if (!stop.signal.aborted) console.error(error);
  process.exitCode ??= stop.signal.aborted ? EXIT_INTERRUPTED : 1;
}

async function main(options: BenchOptions): Promise<void> {
  if (options.isHelp) {
    console.log(USAGE);
    return;
  }
  const unknown = options.names.find((name) => !GROUPS.some((group) => group.name === name));
  if (unknown !== undefined) throw new UsageError(`there is no group ${unknown}\n\n${USAGE}`);
  const chosen = GROUPS.filter(
    ({ name }) => options.names.length === 0 || options.names.includes(name),
  );
  const { words, repetitions, isQuick } = options;
  const servers = { nats: await findNatsServer(), redis: await findRedisServer() };
  const environment = await describeEnvironment(servers);
  const settings = { words, repetitions, isQuick };
  const baseline = options.baseline === undefined ? undefined : readBaseline(options.baseline);
  const difference = baseline && differenceOf(baseline, { settings, environment });
  if (difference !== undefined)
    throw new UsageError(`${options.baseline} cannot be compared: ${difference}`);
  for (const [option, path] of outputsOf(options))
    try {
      requireWritable(path);
    } catch (cause) {
      throw new UsageError(`${option}: ${(cause as Error).message}`, { cause });
    }
  printEnvironment(environment, words, isQuick);
  const results: Record<string, object> = {};
  const pages: PageGroup[] = [];
  const left = new TimeLeft(
    chosen.map(({ name }) => name),
    tookBefore(chosen),
  );
  for (const [at, group] of chosen.entries()) {
    const { name, title } = group;
    console.error([`${name}: ${at + 1} of ${chosen.length}`, left.text].join('   '));
    const progress = (text: string): void => console.error(`  ${name}: ${text}`);
    const { signal } = stop;
    const measure = () => group.run({ words, repetitions, isQuick, servers, signal, progress });
    const begunAt = performance.now();
    const report = await measure();
    const tookMs = Math.round(performance.now() - begunAt);
    left.ended(name, tookMs);
    printReport(title, report);
    const before = baseline?.figures[name];
    const onceMore = async () => {
      console.error(`${name}: once more, for what is not the same`);
      return compareFigures((await measure()).figures ?? [], before);
    };
    const found = compareFigures(report.figures ?? [], before);
    const comparisons = found.every(isSame) ? found : confirmed(found, await onceMore());
    if (comparisons.length > 0) printTable(comparisonTable(comparisons));
    pages.push({ name, title, report, before, comparisons });
    const { figures, data } = report;
    const result = {
      environment,
      words,
      repetitions,
      tookMs,
      ...(figures && { figures }),
      ...data,
    };
    results[name] = result;
    // Only runs that can be compared replace the results that are kept.
    if (!isQuick && words === WORDS_DEFAULT && options.json === undefined) {
      writeJson(join(RESULTS, `${name}.json`), result);
      for (const picture of report.pictures ?? [])
        writeText(join(RESULTS, `${picture.name}.svg`), picture.svg);
    }
  }
  if (options.json !== undefined) writeJson(options.json, results);
  if (options.saveBaseline !== undefined)
    saveBaseline(options.saveBaseline, { environment, settings, figures: figuresOf(pages) });
  if (options.report !== undefined) {
    const content = {
      environment,
      data: dataText(words),
      isQuick,
      baseline: options.baseline,
      groups: pages,
    };
    writeText(join(options.report, 'report.html'), htmlOf(content));
    writeText(join(options.report, 'report.md'), markdownOf(content));
  }
  const isWorse = pages.some(({ comparisons }) =>
    comparisons.some(({ verdict }) => verdict === 'worse'),
  );
  if (isWorse) process.exitCode = EXIT_WORSE;
}

/** What is written at the end: hours of measuring must not end with a path that is none. */
function outputsOf({ json, report }: BenchOptions): (readonly [string, string])[] {
  return [
    ...(json === undefined ? [] : [['--json', json] as const]),
    ...(report === undefined ? [] : [['--report', join(report, 'report.html')] as const]),
  ];
}

function figuresOf(pages: readonly PageGroup[]): Readonly<Record<string, readonly Figure[]>> {
  return Object.fromEntries(pages.map(({ name, report }) => [name, report.figures ?? []]));
}

/** How long full runs of groups took, by the results that are kept of them. */
function tookBefore(groups: readonly Group[]): ReadonlyMap<string, number> {
  const took = new Map<string, number>();
  for (const { name } of groups) {
    const path = join(RESULTS, `${name}.json`);
    if (!existsSync(path)) continue;
    const { tookMs } = JSON.parse(readFileSync(path, 'utf8')) as { readonly tookMs?: number };
    if (tookMs !== undefined) took.set(name, tookMs);
  }
  return took;
}
