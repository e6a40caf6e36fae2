import { counted, duration } from '@engram/diagnosis';
import { stopCluster } from '@engram/local-cluster';
import { Command } from 'commander';
import { checkedLine } from '../format.ts';
import { DEFAULT_DATA } from '../local-url.ts';
import { jsonOption, printJson, printNote, reporting } from '../output.ts';

interface Options {
  readonly data: string;
  readonly json?: boolean;
}

/** `engram down` */
export function downCommand(): Command {
  return new Command('down')
    .description('stop the cluster of this machine')
    .option('--data <dir>', 'folder of its data', DEFAULT_DATA)
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Stops gateways, shards, Redis and NATS in this order and waits for their end; also ends what a
killed supervisor has left. The data stays. Exit code: 0 nothing runs any more, 1 failure.

Examples:
  $ engram down
  $ engram down --data /var/lib/engram`,
    )
    .action(
      reporting(async ({ data, json }: Options) => {
        const begun = performance.now();
        const { found, ended } = await stopCluster(data);
        const took = duration(performance.now() - begun);
        const names = ended.map(({ id }) => id);
        if (json === true) printJson({ found, ended: names });
        else if (found === 'nothing') printNote(`No cluster runs on ${data}.`);
        else {
          const what = found === 'cluster' ? '' : ' that a killed cluster had left';
          const members = counted(names.length, 'process');
          console.log(
            checkedLine('stopped', `${members}${what} in ${took}; the data stays in ${data}`),
          );
        }
      }),
    );
}
