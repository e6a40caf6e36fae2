import { RECALL_FIELDS, type RecallResult } from '@engram/client';
import { LIMITS } from '@engram/model';
import Table from 'cli-table3';
import { Command } from 'commander';
import { integerIn } from '../format.ts';
import {
  apiKeyFileOption,
  clientFor,
  type GatewayOptions,
  jsonOption,
  object,
  printJson,
  printNote,
  reporting,
  urlOption,
  UsageError,
  vector,
} from '../output.ts';
import { printable, shown } from '../printable.ts';

/** Wider metadata would break the table on a usual terminal. */
const METADATA_CHARS_MAX = 60;

interface Options extends GatewayOptions {
  readonly json?: boolean;
  readonly embedding?: number[];
  readonly id?: string;
  readonly k: number;
  readonly ef?: number;
  readonly exact?: boolean;
  readonly filter?: Record<string, unknown>;
}

/** `engram recall SPACE …` */
export function recallCommand(): Command {
  return new Command('recall')
    .description('find the nearest observations')
    .argument('<space>')
    .option('--embedding <json>', 'list of numbers', vector)
    .option('--id <id>', 'the neighbours of this observation')
    .option('-k, --k <n>', 'how many', integerIn(1, LIMITS.kMax), 10)
    .option(
      '--ef <n>',
      'breadth of the search: more is slower and finds more',
      integerIn(1, LIMITS.efMax),
    )
    .option('--exact', 'score every observation, whatever the graphs propose')
    .option('--filter <json>', 'condition on the metadata', object)
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ engram recall words --id coffee -k 5
  $ engram recall notes --embedding '[0.1, 0.8, 0.3]' --json`,
    )
    .action(
      reporting(async (space: string, options: Options) => {
        const result = await search(space, options);
        if (options.json === true) {
          printJson(result);
          return;
        }
        console.log(result.results.length === 0 ? 'Nothing was found.' : tableOf(result));
        const { tookMs, degraded, shards } = result;
        printNote(`${tookMs.toFixed(1)} ms`);
        if (degraded)
          printNote(
            `Only ${shown(shards.answered)} of ${shown(shards.asked)} shards answered: some may be missing.`,
          );
      }),
    );
}

async function search(space: string, options: Options): Promise<RecallResult> {
  const { id, k, ef, exact, filter } = options;
  if ((id === undefined) === (options.embedding === undefined))
    throw new UsageError('give either --embedding or --id');
  const client = clientFor(options);
  const embedding = options.embedding ?? (await client.get(space, id ?? '')).embedding;
  const result = await client.recall(space, {
    embedding,
    // An observation is its own nearest neighbour, which nobody asks for.
    k: id === undefined ? k : Math.min(k + 1, LIMITS.kMax),
    include: RECALL_FIELDS.filter((field) => field !== 'embedding'),
    ...(ef === undefined ? {} : { ef }),
    ...(exact === undefined ? {} : { exact }),
    ...(filter === undefined ? {} : { filter }),
  });
  return { ...result, results: result.results.filter((hit) => hit.id !== id).slice(0, k) };
}

function tableOf({ results }: RecallResult): string {
  const table = new Table({
    head: ['', 'id', 'score', 'metadata'],
    style: { head: [], border: [], compact: true },
    colAligns: ['right', 'left', 'right', 'left'],
  });
  results.forEach(({ id, score, metadata }, place) => {
    table.push([place + 1, shown(id), score.toFixed(4), printable(shortened(metadata))]);
  });
  return table.toString();
}

function shortened(metadata: unknown): string {
  const text = metadata === undefined ? '' : JSON.stringify(metadata);
  return text.length > METADATA_CHARS_MAX ? `${text.slice(0, METADATA_CHARS_MAX - 1)}…` : text;
}
