import { setTimeout as pause } from 'node:timers/promises';
import type { EngramClient } from '@engram/client';
import { sampleOf, silentText, type Sample, type Seen } from '@engram/diagnosis';
import { Command } from 'commander';
import { createLogUpdate } from 'log-update';
import { failureLine, integerIn } from '../format.ts';
import {
  apiKeyFileOption,
  clientFor,
  isDenied,
  jsonOption,
  jsonText,
  printNote,
  reporting,
  sentence,
  urlOption,
  type GatewayOptions,
} from '../output.ts';
import { silentHere } from '../local-members.ts';
import { shown } from '../printable.ts';
import { lineOf, tableOf } from '../top/table.ts';

interface Options extends GatewayOptions {
  readonly json?: boolean;
  readonly once?: boolean;
  readonly interval: number;
}

const INTERVAL_MS = 1_000;

/** `engram top` */
export function topCommand(signal: AbortSignal): Command {
  return new Command('top')
    .description('watch shards and lanes: pressure, what waits, lag, rates, memory')
    .option('--once', 'print one table and end')
    .option('--interval <ms>', 'between two looks', integerIn(100, 60_000), INTERVAL_MS)
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
On a terminal the table is drawn anew; elsewhere each look is a line, with --json an object a line.

Examples:
  $ engram top
  $ engram top --once --json
  $ engram top --interval 5000 >> load.log`,
    )
    .action(
      reporting(async ({ json, once, interval, ...gateway }: Options) => {
        const client = clientFor(gateway, 0);
        if (once === true) {
          for await (const sample of samples(client, gateway.url, interval, signal))
            if (sample instanceof Error) throw sample;
            else {
              console.log(json === true ? jsonText(sample) : tableOf(shown(sample)));
              return;
            }
          return;
        }
        const show = json === true ? printLine(jsonText) : shower();
        for await (const sample of samples(client, gateway.url, interval, signal))
          show.show(sample);
        show.end();
      }),
    );
}

/** From the second look on, which has rates; a look that fails is an error, and the next one follows. */
async function* samples(
  client: EngramClient,
  url: string | undefined,
  intervalMs: number,
  signal: AbortSignal,
): AsyncGenerator<Sample | Error, void> {
  let before: Seen | undefined;
  while (!signal.aborted) {
    try {
      const status = await client.cluster({ signal });
      const seen = { status, atMs: performance.now() };
      if (before !== undefined) {
        const silent = silentHere(url, status.members).map(silentText);
        yield sampleOf(before, seen, silent);
      }
      before = seen;
    } catch (error) {
      if (signal.aborted) return;
      // No later look would be let in either.
      if (isDenied(error)) throw error;
      yield error instanceof Error ? error : new Error(String(error));
    }
    await pause(intervalMs, undefined, { signal }).catch(() => undefined);
  }
}

interface Show {
  show(sample: Sample | Error): void;
  end(): void;
}

function shower(): Show {
  if (!process.stdout.isTTY) return printLine((sample) => lineOf(shown(sample)));
  const update = createLogUpdate(process.stdout);
  return {
    show: (sample) =>
      update(sample instanceof Error ? failureLine(sentence(sample)) : tableOf(shown(sample))),
    // Leaves the last table where it stands, and gives the cursor back.
    end: () => update.done(),
  };
}

function printLine(text: (sample: Sample) => string): Show {
  return {
    show: (sample) => {
      if (sample instanceof Error) printNote(failureLine(sentence(sample)));
      else console.log(text(sample));
    },
    end: () => undefined,
  };
}
