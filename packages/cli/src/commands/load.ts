import { randomBytes } from 'node:crypto';
import { counted, duration } from '@engram/diagnosis';
import { Command } from 'commander';
import { integerIn } from '../format.ts';
import { whole } from '../import/progress.ts';
import { runLoad, type LoadResult, type Quantiles } from '../load/load-run.ts';
import {
  apiKeyFileOption,
  clientFor,
  jsonOption,
  printJson,
  printNote,
  reporting,
  urlOption,
  type GatewayOptions,
} from '../output.ts';

interface Options extends GatewayOptions {
  readonly json?: boolean;
  readonly seconds: number;
  readonly spaces: number;
  readonly dimension: number;
  readonly batch: number;
  readonly senders: number;
  readonly keep?: boolean;
}

/** `engram load` */
export function loadCommand(signal: AbortSignal): Command {
  return new Command('load')
    .description('write and recall for a while in spaces of its own, and say how fast that was')
    .option('--seconds <n>', 'for how long', integerIn(1, 3_600), 10)
    .option('--spaces <n>', 'how many', integerIn(1, 1_000), 4)
    .option('--dimension <n>', 'of the embeddings', integerIn(1, 4_096), 128)
    .option('--batch <n>', 'observations of a write', integerIn(1, 1_000), 250)
    .option('--senders <n>', 'writes at one time', integerIn(1, 256), 4)
    .option('--keep', 'leave the spaces there')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ engram load --seconds 30
  $ engram load --dimension 768 --batch 50 --senders 8 --json`,
    )
    .action(
      reporting(async ({ json, keep, spaces: count, ...options }: Options) => {
        const client = clientFor(options);
        const run = randomBytes(4).toString('hex');
        const spaces = Array.from({ length: count }, (_, i) => `load-${run}-${i}`);
        const { dimension } = options;
        try {
          for (const space of spaces) await client.createSpace(space, { dimension });
          const result = await runLoad(clientFor(options, 0), { ...options, spaces, signal });
          if (json === true) printJson({ spaces, ...result });
          else print(result, count);
        } finally {
          // One that was not made, or cannot be reached now, keeps no other from being deleted.
          if (keep !== true)
            await Promise.allSettled(spaces.map((space) => client.deleteSpace(space)));
        }
      }),
    );
}

function print(result: LoadResult, spaces: number): void {
  const { seconds, accepted, refused, recalls, writes, recalled } = result;
  const rate = (count: number) => `${whole(count / seconds)}/s`;
  console.log(
    `accepted  ${rate(accepted)}   ${whole(accepted)} observations in ${counted(spaces, 'space')}, ${quantilesText(writes)}`,
  );
  console.log(`recalled  ${rate(recalls)}   one at a time, ${quantilesText(recalled)}`);
  if (refused > 0) printNote(`${counted(refused, 'write')} came too early and were sent again.`);
}

function quantilesText({ p50Ms, p99Ms }: Quantiles): string {
  if (p50Ms === undefined || p99Ms === undefined) return 'none was answered';
  return `p50 ${duration(p50Ms)}, p99 ${duration(p99Ms)}`;
}
