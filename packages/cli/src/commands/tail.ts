import type { TailEvent } from '@engram/client';
import { counted } from '@engram/diagnosis';
import { Command, InvalidArgumentError } from 'commander';
import colors from 'picocolors';
import {
  apiKeyFileOption,
  clientFor,
  jsonOption,
  printJsonLine,
  printNote,
  reporting,
  urlOption,
  type GatewayOptions,
} from '../output.ts';
import { printable, shown } from '../printable.ts';

interface Options extends GatewayOptions {
  readonly json?: boolean;
  readonly since?: Date;
  readonly position?: string;
  readonly embeddings?: boolean;
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `engram tail SPACE` */
export function tailCommand(signal: AbortSignal): Command {
  return new Command('tail')
    .description('follow what is written into a space')
    .argument('<space>')
    .option('--since <when>', 'begin so long ago (90s, 10m, 2h, 1d) or at a time (ISO 8601)', when)
    .option('--position <token>', 'begin behind this position, of a line or of a write')
    .option('--embeddings', 'with the embeddings')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Without --since and --position it begins now, and says so. With --json each line is an object whose
position goes on where it stopped. It ends with Ctrl-C.

Examples:
  $ engram tail notes
  $ engram tail notes --since 10m --json | jq .id`,
    )
    .action(
      reporting(async (space: string, { url, apiKeyFile, json, ...options }: Options) => {
        try {
          for await (const event of clientFor({ url, apiKeyFile }).tail(space, {
            ...options,
            signal,
          })) {
            if (event.op === 'start') printNote(`following ${space} from ${shown(event.position)}`);
            else if (json === true) printJsonLine(event);
            else console.log(lineOf(event));
          }
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      }),
    );
}

/** For commander: a time, or how long ago. */
function when(text: string): Date {
  const ago = /^(\d{1,9})([smhd])$/.exec(text);
  if (ago !== null) return new Date(Date.now() - Number(ago[1]) * UNIT_MS[ago[2] as 's']);
  const at = new Date(text);
  if (Number.isFinite(at.getTime())) return at;
  throw new InvalidArgumentError('It must be as 90s, 10m, 2h, 1d or 2026-01-31T09:00:00Z.');
}

/** `09:00:00.123  normal  + n1  {"topic":"tea"}` */
function lineOf(event: Exclude<TailEvent, { readonly op: 'start' }>): string {
  const { time, lane } = shown(event);
  const head = `${colors.dim(time.slice(11, 23))}  ${lane.padEnd(6)}`;
  switch (event.op) {
    case 'put': {
      const { id, metadata, embedding } = event;
      const told = [metadata, embedding && Array.from(embedding)]
        .filter((part) => part !== undefined)
        .map((part) => `  ${printable(JSON.stringify(part))}`);
      return `${head}  ${colors.green('+')} ${shown(id)}${told.join('')}`;
    }
    case 'delete':
      return `${head}  ${colors.red('-')} ${shown(event.id)}`;
    case 'rejected':
      return `${head}  ${colors.yellow('!')} ${counted(shown(event.count), 'item')} rejected`;
  }
}
