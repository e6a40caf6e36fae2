import { writeFile } from 'node:fs/promises';
import type { DeadLetter, DeadLetterSelection } from '@engram/client';
import { counted } from '@engram/diagnosis';
import Table from 'cli-table3';
import { Command } from 'commander';
import { failureLine, integerIn, warningLine } from '../format.ts';
import { whole } from '../import/progress.ts';
import {
  apiKeyFileOption,
  clientFor,
  EXIT,
  type GatewayOptions,
  jsonOption,
  printJson,
  printNote,
  reporting,
  urlOption,
  UsageError,
} from '../output.ts';
import { summaryOf, type PayloadSummary } from '../payload.ts';
import { shown } from '../printable.ts';

interface CommonOptions extends GatewayOptions {
  readonly json?: boolean;
}

interface FilterOptions extends CommonOptions {
  readonly reason?: string;
  readonly space?: string;
}

interface ListOptions extends FilterOptions {
  readonly limit: number;
  readonly oldest?: boolean;
}

interface ShowOptions extends CommonOptions {
  readonly payload?: string;
}

interface SelectOptions extends FilterOptions {
  readonly all?: boolean;
}

/** Refusals that are printed; `--json` has all. */
const REFUSALS_MAX = 20;
/** Wider details would break the table on a usual terminal. */
const DETAIL_CHARS_MAX = 60;

/** `engram dlq list|show|redrive|purge` */
export function dlqCommand(): Command {
  return new Command('dlq')
    .description('look at dead letters: entries of the log that could not be applied')
    .addCommand(listCommand(), { isDefault: true })
    .addCommand(showCommand())
    .addCommand(redriveCommand())
    .addCommand(purgeCommand())
    .addHelpText(
      'after',
      `
Examples:
  $ engram dlq list --reason SPACE_NOT_FOUND
  $ engram dlq show 0-1234 --payload entry.bin
  $ engram dlq redrive --space notes
  $ engram dlq purge 0-1234 0-1240`,
    );
}

function filtered(command: Command): Command {
  return command
    .option('--reason <code>', 'of this reason, as INVALID_JSON')
    .option('--space <name>', 'of this space');
}

function listCommand(): Command {
  return filtered(new Command('list'))
    .description('list dead letters, the newest first')
    .option('--oldest', 'the oldest first')
    .option('-n, --limit <n>', 'how many at most', integerIn(1, 1_000_000), 50)
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .action(
      reporting(async ({ json, limit, oldest, reason, space, ...gateway }: ListOptions) => {
        const found: DeadLetter[] = [];
        let hasMore = false;
        const letters = clientFor(gateway).deadLetters.list({
          order: oldest === true ? 'oldest' : 'newest',
          pageSize: Math.min(limit + 1, 1_000),
          ...filterOf({ reason, space }),
        });
        for await (const letter of letters) {
          hasMore = found.length === limit;
          if (hasMore) break;
          found.push(letter);
        }
        if (json === true) printJson(found);
        else if (found.length === 0) printNote('There are no dead letters.');
        else console.log(tableOf(shown(found)));
        if (hasMore) printNote(`There are more; --limit shows them.`);
      }),
    );
}

function showCommand(): Command {
  return new Command('show')
    .description('show a dead letter and what its payload holds')
    .argument('<id>', '<stripe>-<sequence>')
    .option('--payload <file>', 'write the payload to a file, as it was published')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .action(
      reporting(async (id: string, { json, payload: file, ...gateway }: ShowOptions) => {
        const { deadLetters } = clientFor(gateway);
        const letter = await deadLetters.get(id);
        const bytes = await deadLetters.payload(id);
        if (file !== undefined) await writeFile(file, bytes);
        const payload = summaryOf(letter.contentType, bytes);
        if (json === true) printJson({ ...letter, payload });
        else console.log(detailsOf(shown(letter), shown(payload)));
        if (file !== undefined) printNote(`${whole(bytes.length)} bytes are in ${file}`);
      }),
    );
}

function redriveCommand(): Command {
  return filtered(new Command('redrive'))
    .description('put dead letters into the log again: they are written anew')
    .argument('[ids...]', '<stripe>-<sequence> of each')
    .option('--all', 'every one')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
An entry is written again as a whole, also those of its items that were applied (refused and all are
in dlq show), and wins over what was written since under the same ids. What still cannot be applied
becomes a new dead letter.`,
    )
    .action(
      reporting(async (ids: string[], options: SelectOptions) => {
        const selection = selectionOf(ids, options);
        const result = await clientFor(options).deadLetters.redrive(selection);
        const { redriven, refused } = result;
        if (options.json === true) printJson(result);
        else if (redriven + refused.length === 0) printNote('There are no such dead letters.');
        else if (redriven > 0) {
          console.log(`✔ ${counted(shown(redriven), 'dead letter')} redriven`);
          printNote('What still cannot be applied is a new one soon: engram dlq list');
        }
        if (refused.length === 0) return;
        process.exitCode = EXIT.partial;
        if (options.json === true) return;
        for (const { id, code, detail, hint } of shown(refused.slice(0, REFUSALS_MAX)))
          printNote(
            failureLine(`${id} ${detail} (${code})${hint === undefined ? '' : `; ${hint}`}`),
          );
        if (refused.length > REFUSALS_MAX)
          printNote(`… ${whole(refused.length - REFUSALS_MAX)} more were refused`);
      }),
    );
}

function purgeCommand(): Command {
  return filtered(new Command('purge'))
    .description('be done with dead letters for good')
    .argument('[ids...]', '<stripe>-<sequence> of each')
    .option('--all', 'every one')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .action(
      reporting(async (ids: string[], options: SelectOptions) => {
        const selection = selectionOf(ids, options);
        const result = await clientFor(options).deadLetters.purge(selection);
        const missing = new Set(ids).size - result.purged;
        if (options.json === true) printJson(result);
        else if (result.purged === 0) printNote('There are no such dead letters.');
        else console.log(`✔ ${counted(shown(result.purged), 'dead letter')} purged`);
        if (missing <= 0) return;
        process.exitCode = result.purged === 0 ? EXIT.failure : EXIT.partial;
        if (options.json !== true && result.purged > 0)
          printNote(warningLine(`${counted(missing, 'other')} of those given were not there`));
      }),
    );
}

/** @throws UsageError unless it is said in exactly one way which ones are meant */
function selectionOf(ids: readonly string[], options: SelectOptions): DeadLetterSelection {
  const filter = filterOf(options);
  const isFiltered = Object.keys(filter).length > 0;
  if ([ids.length > 0, isFiltered, options.all === true].filter(Boolean).length !== 1)
    throw new UsageError('give ids, or --reason or --space or both, or --all');
  if (ids.length > 0) return { ids };
  return isFiltered ? filter : { all: true };
}

function filterOf({ reason, space }: { reason?: string | undefined; space?: string | undefined }) {
  return {
    ...(reason === undefined ? {} : { reason }),
    ...(space === undefined ? {} : { space }),
  };
}

function tableOf(letters: readonly DeadLetter[]): string {
  const table = new Table({
    head: ['id', 'reason', 'space', 'lane', 'refused', 'bytes', 'set aside', 'detail'],
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'left', 'left', 'left', 'right', 'right', 'left', 'left'],
  });
  for (const { id, reason, space, lane, errorCount, bytes, writtenAt, detail } of letters)
    table.push([
      id,
      reason,
      space ?? '',
      lane ?? '',
      whole(errorCount),
      whole(bytes),
      writtenAt,
      shortened(detail),
    ]);
  return table.toString();
}

function detailsOf(letter: DeadLetter, payload: PayloadSummary): string {
  const { errors, errorCount } = letter;
  const listed = errors.map(({ index, code }) => `${index}: ${code}`).join(', ');
  const more = errorCount > errors.length ? `, … ${whole(errorCount)} in all` : '';
  const { kind, observations, deletes, dimensions, ids, fault, text } = payload;
  const rows: [string, string | number | undefined][] = [
    ['id', letter.id],
    ['reason', letter.reason],
    ['detail', letter.detail],
    ['subject', letter.subject],
    ['sequence', letter.sequence],
    ['set aside', letter.writtenAt],
    ['refused items', `${listed}${more}`],
    ['content type', letter.contentType],
    ['payload', `${kind}, ${whole(payload.bytes)} bytes`],
    ['kept only', letter.cutTo === undefined ? undefined : `${whole(letter.cutTo)} bytes`],
    ['not readable', fault],
    ['observations', observations],
    ['deletes', deletes],
    ['dimension', dimensions?.join(', ')],
    ['ids', ids && `${ids.join(', ')}${ids.length < (observations ?? 0) ? ', …' : ''}`],
  ];
  const table = new Table({ style: { head: [], border: [], compact: true } });
  for (const [name, value] of rows)
    if (value !== undefined && value !== '') table.push({ [name]: value });
  const isText = text !== undefined && text !== '';
  return isText ? `${table.toString()}\n${text}` : table.toString();
}

function shortened(text: string): string {
  return text.length > DETAIL_CHARS_MAX ? `${text.slice(0, DETAIL_CHARS_MAX - 1)}…` : text;
}
