import type { VerifyDifference, VerifyOptions, VerifyResult } from '@engram/client';
import { counted, duration } from '@engram/diagnosis';
import { LIMITS } from '@engram/model';
import { Command } from 'commander';
import colors from 'picocolors';
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
} from '../output.ts';
import { shown } from '../printable.ts';

interface Options extends GatewayOptions {
  readonly json?: boolean;
  readonly shard?: string;
  readonly waitMs?: number;
}

const IDS_SHOWN = 10;

/** `engram verify [SPACE]` */
export function verifyCommand(): Command {
  return new Command('verify')
    .description('compare the log with the index, id by id; exit code 1 when they differ')
    .argument('[space]', 'default: every space')
    .option('--shard <id>', 'ask this shard')
    .option(
      '--wait-ms <n>',
      'how long the index may take to apply what the log has',
      integerIn(0, LIMITS.waitMsMax),
    )
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ engram verify
  $ engram verify notes --json`,
    )
    .action(
      reporting(async (name: string | undefined, { json, shard, waitMs, ...gateway }: Options) => {
        const client = clientFor(gateway);
        const asked: VerifyOptions = {
          ...(shard === undefined ? {} : { shard }),
          ...(waitMs === undefined ? {} : { waitMs }),
        };
        const names: string[] = name === undefined ? [] : [name];
        if (name === undefined) for await (const { space } of client.spaces()) names.push(space);
        const results: VerifyResult[] = [];
        for (const space of names) {
          const result = await client.verify(space, asked);
          results.push(result);
          if (json !== true) print(shown(result));
        }
        if (json === true) printJson(name === undefined ? results : results[0]);
        else if (names.length === 0) printNote('There are no spaces.');
        if (results.some((result) => !isWhole(result))) process.exitCode = EXIT.failure;
      }),
    );
}

/** Not by what the answer says of itself alone. */
function isWhole({ ok, totals }: VerifyResult): boolean {
  return ok && totals.missing + totals.extra + totals.stale === 0;
}

function print(result: VerifyResult): void {
  const ok = isWhole(result);
  const { space, isExact, counts, totals, entries, rejected, tookMs, shard, reasons } = result;
  const took = colors.dim(duration(tookMs));
  if (ok && !isExact)
    console.log(
      warningLine(
        `${space}   nothing differs of ${counted(counts.log, 'id')} in the log; the index has ${whole(counts.index)}`,
      ) + `   ${took}`,
    );
  else if (ok)
    console.log(
      `${colors.green('✔')} ${space}   ${counted(counts.log, 'id')} of ${counted(entries, 'entry')}, ${whole(rejected)} refused   ${took}`,
    );
  else {
    const { missing, extra, stale } = totals;
    console.log(
      failureLine(
        `${space}   ${whole(missing)} missing, ${whole(extra)} extra, ${whole(stale)} stale in ${shard}; ${counted(counts.log, 'id')} in the log`,
      ) + `   ${took}`,
    );
    for (const kind of ['missing', 'extra', 'stale'] as const)
      if (result[kind].length > 0) console.log(`  ${kind}: ${listed(result[kind], totals[kind])}`);
  }
  for (const reason of reasons) printNote(warningLine(`${space} is not known exactly: ${reason}`));
}

function listed(differences: readonly VerifyDifference[], total: number): string {
  const shown = differences
    .slice(0, IDS_SHOWN)
    .map(({ id, expected, found }) => `${id} (log ${expected ?? '-'}, index ${found ?? '-'})`);
  return `${shown.join(', ')}${total > shown.length ? ', …' : ''}`;
}
