import { text } from 'node:stream/consumers';
import { ACK_LEVELS, LANES, type AckLevel, type Lane, type Observation } from '@engram/model';
import { Command, Option } from 'commander';
import {
  apiKeyFileOption,
  clientFor,
  type GatewayOptions,
  jsonOption,
  object,
  printJson,
  reporting,
  urlOption,
  UsageError,
  vector,
} from '../output.ts';
import { printable, shown } from '../printable.ts';

interface Options extends GatewayOptions {
  readonly json?: boolean;
  readonly id?: string;
  readonly embedding?: number[];
  readonly metadata?: Record<string, unknown>;
  readonly lane?: Lane;
  readonly ack?: AckLevel;
}

/** `engram put SPACE …` */
export function putCommand(): Command {
  return new Command('put')
    .description('write one observation')
    .argument('<space>')
    .argument('[source]', '- reads the observation as JSON from standard input')
    .option('--id <id>')
    .option('--embedding <json>', 'list of numbers', vector)
    .option('--metadata <json>', 'object that is kept beside it', object)
    .addOption(new Option('--lane <lane>', 'priority').choices(LANES))
    .addOption(new Option('--ack <level>', 'how far it must be').choices(ACK_LEVELS))
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ engram put notes --id n1 --embedding '[0.1, 0.9, 0.2]' --metadata '{"topic":"tea"}'
  $ echo '{"id":"n2","embedding":[0.3,0.1,0.5]}' | engram put notes - --ack searchable`,
    )
    .action(
      reporting(async (space: string, source: string | undefined, options: Options) => {
        const client = clientFor(options);
        const observation = await observationOf(source, options);
        const { lane, ack } = options;
        const result = await client.put(space, [observation], {
          ...(lane === undefined ? {} : { lane }),
          ...(ack === undefined ? {} : { ack }),
        });
        if (options.json === true) printJson(result);
        else {
          const { ack: reached = 'logged', position } = shown(result);
          console.log(`✔ ${printable(observation.id)} is ${reached} at ${position}`);
        }
      }),
    );
}

async function observationOf(source: string | undefined, options: Options): Promise<Observation> {
  const { id, embedding, metadata } = options;
  if (source === undefined) {
    if (id === undefined || embedding === undefined)
      throw new UsageError('give --id and --embedding, or - to read from standard input');
    return { id, embedding, ...(metadata === undefined ? {} : { metadata }) };
  }
  if (source !== '-')
    throw new UsageError(`${source} is not -; to read a file, use: engram import`);
  if (id !== undefined || embedding !== undefined || metadata !== undefined)
    throw new UsageError('give the observation by options or by standard input, not by both');
  const value = object(await text(process.stdin));
  return value as unknown as Observation;
}
