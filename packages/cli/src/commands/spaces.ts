import { createInterface } from 'node:readline/promises';
import type { SpaceStatus, SpaceSummary } from '@engram/client';
import {
  type Engine,
  ENGINES,
  type Metric,
  METRICS,
  type Quantization,
  QUANTIZATIONS,
  SPACE_LIMITS,
} from '@engram/model';
import Table from 'cli-table3';
import { Command, Option } from 'commander';
import { integerIn } from '../format.ts';
import { whole } from '../import/progress.ts';
import {
  apiKeyFileOption,
  clientFor,
  type GatewayOptions,
  jsonOption,
  printJson,
  printNote,
  reporting,
  urlOption,
  UsageError,
} from '../output.ts';
import { shown } from '../printable.ts';

interface CommonOptions extends GatewayOptions {
  readonly json?: boolean;
}

interface CreateOptions extends CommonOptions {
  readonly dimension: number;
  readonly metric?: Metric;
  readonly engine?: Engine;
  readonly quantization?: Quantization;
  readonly m?: number;
  readonly efConstruction?: number;
}

/** `engram spaces list|create|show|delete` */
export function spacesCommand(): Command {
  return new Command('spaces')
    .description('list, make, look at and delete spaces')
    .addCommand(listCommand(), { isDefault: true })
    .addCommand(createCommand())
    .addCommand(showCommand())
    .addCommand(deleteCommand())
    .addHelpText(
      'after',
      `
Examples:
  $ engram spaces
  $ engram spaces create notes --dimension 768
  $ engram spaces show notes
  $ engram spaces delete notes --yes`,
    );
}

function listCommand(): Command {
  return new Command('list')
    .description('list all spaces')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .action(
      reporting(async ({ json, ...gateway }: CommonOptions) => {
        const spaces: SpaceSummary[] = [];
        for await (const space of clientFor(gateway).spaces()) spaces.push(space);
        if (json === true) printJson(spaces);
        else if (spaces.length === 0)
          printNote(
            'There are no spaces that you may see. Make one with: engram spaces create NAME --dimension N',
          );
        else console.log(tableOf(shown(spaces)));
      }),
    );
}

function createCommand(): Command {
  return new Command('create')
    .description('make a space; the same one again is no failure')
    .argument('<name>', '1 to 64 of A-Z a-z 0-9 _ -')
    .requiredOption('--dimension <n>', 'length of its embeddings', within('dimension'))
    .addOption(new Option('--metric <metric>', 'how distance is measured').choices(METRICS))
    .addOption(new Option('--engine <engine>', 'what makes its graphs').choices(ENGINES))
    .addOption(
      new Option('--quantization <kind>', 'how graphs keep components').choices(QUANTIZATIONS),
    )
    .option('--m <n>', 'links of a node in the graph', within('m'))
    .option('--ef-construction <n>', 'breadth of the search for links', within('efConstruction'))
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .action(
      reporting(async (name: string, { url, apiKeyFile, json, ...options }: CreateOptions) => {
        const made = await clientFor({ url, apiKeyFile }).createSpace(name, options);
        if (json === true) printJson(made);
        else console.log(`✔ ${name} ${made.created ? 'is made' : 'was there already'}`);
      }),
    );
}

function within(option: keyof typeof SPACE_LIMITS): (text: string) => number {
  const { min, max } = SPACE_LIMITS[option];
  return integerIn(min, max);
}

function showCommand(): Command {
  return new Command('show')
    .description('show a space and what it holds')
    .argument('<name>')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .action(
      reporting(async (name: string, { json, ...gateway }: CommonOptions) => {
        const status = await clientFor(gateway).space(name);
        if (json === true) printJson(status);
        else console.log(statusTable(shown(status)));
      }),
    );
}

function deleteCommand(): Command {
  return new Command('delete')
    .description('delete a space with all it holds')
    .argument('<name>')
    .option('-y, --yes', 'do not ask')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .action(
      reporting(async (name: string, options: CommonOptions & { readonly yes?: boolean }) => {
        const client = clientFor(options);
        if (options.yes !== true && !(await isConfirmed(name))) {
          printNote('Nothing was deleted.');
          return;
        }
        await client.deleteSpace(name);
        if (options.json === true) printJson({ space: name, deleted: true });
        else console.log(`✔ ${name} is deleted`);
      }),
    );
}

async function isConfirmed(name: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new UsageError(`add --yes to delete ${name} without being asked`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await terminal.question(`Type the name to delete ${name}: `)) === name;
  } finally {
    terminal.close();
  }
}

function tableOf(spaces: readonly SpaceSummary[]): string {
  const table = new Table({
    head: [
      'space',
      'dimension',
      'metric',
      'engine',
      'quantization',
      'm',
      'efConstruction',
      'created',
    ],
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'right', 'left', 'left', 'left', 'right', 'right', 'left'],
  });
  for (const each of spaces) {
    const { space, dimension, metric, engine, quantization, m, efConstruction } = each;
    table.push([space, dimension, metric, engine, quantization, m, efConstruction, each.createdAt]);
  }
  return table.toString();
}

function statusTable(status: SpaceStatus): string {
  const table = new Table({ style: { head: [], border: [], compact: true } });
  for (const [name, value] of Object.entries(status) as [string, unknown][])
    table.push({ [name]: typeof value === 'number' ? whole(value) : textOf(value) });
  return table.toString();
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
