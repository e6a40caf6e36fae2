import { counted, duration } from '@engram/diagnosis';
import {
  ACK_LEVELS,
  LANES,
  LIMITS,
  METRICS,
  type AckLevel,
  type Lane,
  type Metric,
} from '@engram/model';
import { Command, Option } from 'commander';
import colors from 'picocolors';
import { failureLine, integerIn } from '../format.ts';
import { csvRows } from '../import/csv.ts';
import { Importer, type ImportOutcome, type Rejection } from '../import/importer.ts';
import { readLines } from '../import/lines.ts';
import { ndjsonRows } from '../import/ndjson.ts';
import { Progress, whole } from '../import/progress.ts';
import { RejectedFile } from '../import/rejected-file.ts';
import type { Row } from '../import/row.ts';
import { Source } from '../import/source.ts';
import { findSpace, makingSpace } from '../import/target-space.ts';
import {
  apiKeyFileOption,
  clientFor,
  EXIT,
  type GatewayOptions,
  jsonOption,
  printJson,
  printNote,
  reporting,
  sentence,
  urlOption,
} from '../output.ts';
import { printable } from '../printable.ts';

/** An import waits out a cluster that asks for a slower pace, or a gateway that starts again. */
const PATIENT_RETRIES = 30;
/** More only wait in the gateway. */
const CONCURRENCY_MAX = 64;
/** Refusals that are shown when all of them go to a file. */
const SHOWN_REJECTIONS_MAX = 10;
/** Names of guessed columns that are shown; the last one is shown too. */
const SHOWN_COLUMNS_MAX = 4;

interface Options extends GatewayOptions {
  readonly json?: boolean;
  readonly format?: 'ndjson' | 'csv';
  readonly create?: boolean;
  readonly metric?: Metric;
  readonly batch: number;
  readonly concurrency: number;
  readonly ack?: AckLevel;
  readonly lane?: Lane;
  readonly idColumn: string;
  readonly embeddingColumns?: string;
}

/**
 * `engram import SPACE FILE`. An abort of the signal stops the reading, lets the batches on their
 * way finish and says where it stopped.
 */
export function importCommand(signal: AbortSignal = new AbortController().signal): Command {
  return new Command('import')
    .description('write the observations of a file')
    .argument('<space>')
    .argument('<file>', 'NDJSON or CSV; - is standard input')
    .addOption(
      new Option('--format <format>', 'default: by the name of the file').choices([
        'ndjson',
        'csv',
      ]),
    )
    .option(
      '--create',
      'make the space, with the dimension of the first embedding; with keys, one of the scope admin',
    )
    .addOption(new Option('--metric <metric>', 'of the space that is made').choices(METRICS))
    .option('--batch <n>', 'observations in one request', integerIn(1, LIMITS.batchCountMax), 500)
    .option('--concurrency <n>', 'requests at a time', integerIn(1, CONCURRENCY_MAX), 4)
    .addOption(new Option('--ack <level>', 'how far a batch must be').choices(ACK_LEVELS))
    .addOption(new Option('--lane <lane>', 'priority of lines that name none').choices(LANES))
    .option('--id-column <name>', 'CSV column with the ids', 'id')
    .option('--embedding-columns <names>', 'CSV columns, as a,b,c or x*; default: all with numbers')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .addHelpText('after', HELP)
    .action(
      reporting((space: string, file: string, options: Options) => run(space, file, options)),
    );

  async function run(space: string, file: string, options: Options): Promise<void> {
    const startedAt = performance.now();
    const client = clientFor(options, PATIENT_RETRIES);
    const { create = false, metric } = options;
    const target = await findSpace(clientFor(options), space, { create, metric });
    const source = await Source.open(file, signal);
    const saved = file === '-' ? undefined : await RejectedFile.create(`${file}.rejected.ndjson`);
    const progress = new Progress({ total: source.size, stream: process.stderr });
    let shown = 0;
    try {
      const importer = new Importer(client, space, {
        batch: options.batch,
        concurrency: options.concurrency,
        ack: options.ack,
        lane: options.lane,
        signal,
        onProgress: ({ accepted, rejected }) => {
          progress.report(source.bytesRead, accepted + rejected);
        },
        onRejected: async (rejection) => {
          if (saved === undefined || ++shown <= SHOWN_REJECTIONS_MAX)
            progress.note(rejectionText(rejection));
          await saved?.add(rejection);
        },
      });
      const rows = rowsOf(source, file, options, target?.dimension, (columns) =>
        progress.note(guessText(columns)),
      );
      const make = (dimension: number) =>
        client.createSpace(space, { dimension, ...(metric === undefined ? {} : { metric }) });
      const outcome = await importer.run(target === undefined ? makingSpace(rows, make) : rows);
      progress.stop();
      const told = {
        ...outcome,
        seconds: (performance.now() - startedAt) / 1000,
        rejectedFile: outcome.rejected > 0 ? saved?.path : undefined,
      };
      if (options.json === true) printJson(summaryOf(told));
      else tell(told, options.ack);
      process.exitCode = exitCodeOf(outcome);
    } finally {
      progress.stop();
      source.close();
      await saved?.close();
    }
  }
}

function rowsOf(
  source: Source,
  file: string,
  options: Options,
  dimension: number | undefined,
  onGuess: (columns: readonly string[]) => void,
): AsyncIterable<Row> {
  const format = options.format ?? (file.toLowerCase().endsWith('.csv') ? 'csv' : 'ndjson');
  const lines = readLines(source);
  if (format === 'ndjson') return ndjsonRows(lines);
  return csvRows(lines, {
    idColumn: options.idColumn,
    embeddingColumns: options.embeddingColumns?.split(',').map((name) => name.trim()),
    dimension,
    onGuess,
  });
}

function guessText(columns: readonly string[]): string {
  const shown =
    columns.length <= SHOWN_COLUMNS_MAX
      ? columns
      : [...columns.slice(0, SHOWN_COLUMNS_MAX - 1), '…', ...columns.slice(-1)];
  const named = `${counted(columns.length, 'column')} with numbers (${printable(shown.join(', '))})`;
  return `The embedding is taken from ${named}; choose others with --embedding-columns`;
}

interface Told extends ImportOutcome {
  readonly seconds: number;
  readonly rejectedFile: string | undefined;
}

function summaryOf({ failure, ...told }: Told): object {
  const perSecond = Math.round(told.accepted / told.seconds);
  return { ...told, perSecond, ...(failure === undefined ? {} : { failure: sentence(failure) }) };
}

function tell(told: Told, ack: AckLevel | undefined): void {
  const { accepted, rejected, stoppedAfterLine, failure, rejectedFile } = told;
  const parts = [
    colors.green(`✔ ${whole(accepted)} accepted`),
    ...(rejected === 0 ? [] : [colors.red(`✖ ${whole(rejected)} rejected`)]),
    duration(told.seconds * 1000),
    `${whole(accepted / told.seconds)}/s`,
  ];
  console.log(parts.join('   '));
  if (rejectedFile !== undefined) printNote(`The rejected lines are in ${rejectedFile}`);
  else if (rejected > 0)
    printNote(
      'Rejected lines of standard input are told above but not saved; import a file to have them saved.',
    );
  if (!told.ackReached && ack !== undefined)
    printNote(`All is logged, but not everything was ${ack} when it was answered.`);
  if (stoppedAfterLine === undefined) return;
  const why = failure === undefined ? 'as you asked' : sentence(failure);
  printNote(`Stopped after line ${whole(stoppedAfterLine)}: ${why}`);
  printNote('Start it again to go on: what is stored already is only written again.');
}

function rejectionText({ line, code, detail, id }: Rejection): string {
  const named = id === undefined || id === '' ? ':' : ` ${id}:`;
  return failureLine(printable(`line ${line} ${code}${named} ${detail}`));
}

function exitCodeOf({ accepted, rejected, stoppedAfterLine }: ImportOutcome): number {
  if (stoppedAfterLine !== undefined) return EXIT.failure;
  if (rejected === 0) return EXIT.ok;
  return accepted === 0 ? EXIT.failure : EXIT.partial;
}

const HELP = `
Lines of NDJSON are {"id": …, "embedding": […], "metadata"?: {…}, "timestamp"?: ms, "lane"?: …}.
A CSV file has a header; its other columns become metadata. Lines that are refused never stop the
rest: they are told with their number and saved to FILE.rejected.ndjson. Of lines with the same id the
last one counts.
Exit code: 0 all accepted, 1 failure, 2 wrong usage, 3 some were refused.

Examples:
  $ engram import notes notes.ndjson --create
  $ engram import points points.csv --create --metric l2 --embedding-columns 'x*'
  $ zcat notes.ndjson.gz | engram import notes -`;
