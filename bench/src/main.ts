// The command `pnpm bench`, and the only file here that takes signals and sets the exit code.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findNatsServer, findRedisServer } from '@engram/local-cluster';
import { describeEnvironment } from './environment.ts';
import type { Group } from './group.ts';
import { checkpoints } from './groups/checkpoints.ts';
import { engines } from './groups/engines.ts';
import { engine } from './groups/engine.ts';
import { failover } from './groups/failover.ts';
import { feeds } from './groups/feeds.ts';
import { graph } from './groups/graph.ts';
import { ingest } from './groups/ingest.ts';
import { overload } from './groups/overload.ts';
import { pipes } from './groups/pipes.ts';
import { recovery } from './groups/recovery.ts';
import { sessions } from './groups/sessions.ts';
import { storage } from './groups/storage.ts';
import { tenants } from './groups/tenants.ts';
import { parseOptions, UsageError, WORDS_DEFAULT, type BenchOptions } from './options.ts';
import { printEnvironment, printReport, writeJson } from './report.ts';

const GROUPS: readonly Group[] = [
  engines,
  graph,
  engine,
  storage,
  feeds,
  pipes,
  ingest,
  recovery,
  failover,
  overload,
  sessions,
  tenants,
  checkpoints,
];
const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));
const EXIT_INTERRUPTED = 130;

const USAGE = `pnpm bench [name…] [--quick] [--words N] [--json FILE]

${GROUPS.map(({ name, title }) => `  ${name.padEnd(10)} ${title}`).join('\n')}

  --quick      one repetition and shorter loads: to try, not to compare
  --words N    observations to import (default ${WORDS_DEFAULT})
  --json FILE  write the results there; a full run writes bench/results/<name>.json`;

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => {
    if (!stop.signal.aborted) console.error('stopping what was started …');
    stop.abort();
  });

try {
  await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  if (error instanceof UsageError) console.error(error.message);
  else if (!stop.signal.aborted) console.error(error);
  process.exitCode = stop.signal.aborted ? EXIT_INTERRUPTED : 1;
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
  printEnvironment(environment, words);
  const results: Record<string, object> = {};
  for (const group of chosen) {
    const progress = (text: string): void => console.error(`  ${group.name}: ${text}`);
    const { signal } = stop;
    const report = await group.run({ words, repetitions, isQuick, servers, signal, progress });
    printReport(group.title, report);
    const result = { environment, words, repetitions, ...report.data };
    results[group.name] = result;
    // Only runs that can be compared replace the results that are kept.
    if (!isQuick && words === WORDS_DEFAULT && options.json === undefined)
      writeJson(join(RESULTS, `${group.name}.json`), result);
  }
  if (options.json !== undefined) writeJson(options.json, results);
}
