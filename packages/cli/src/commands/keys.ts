import { randomUUID } from 'node:crypto';
import { chmod, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import {
  ApiKeys,
  mergeGrants,
  mintApiKey,
  parseGrant,
  type ApiKeyRecord,
  type Scope,
} from '@engram/access';
import { Command, InvalidArgumentError } from 'commander';
import { jsonOption, printJson, printNote, reporting, UsageError } from '../output.ts';

type ScopesOfPattern = readonly [pattern: string, scopes: ReadonlySet<Scope>];

interface Options {
  readonly scope: readonly ScopesOfPattern[];
  readonly file?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** `engram keys create` */
export function keysCommand(): Command {
  return new Command('keys')
    .description('make API keys, for gateways that want to know who asks')
    .addCommand(createCommand());
}

function createCommand(): Command {
  return new Command('create')
    .description('make a key and give it out, once: only its hash is kept')
    .argument('<id>', 'whose key it is, as 1 to 40 of A-Z a-z 0-9 -')
    .requiredOption('--scope <pattern:scopes>', 'what it may do; may be given again', scopeOption)
    .option('--file <file>', 'add its record to this list, made if there is none')
    .option('--out <file>', 'write the key there, for its owner alone, instead of printing it')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
A pattern is the name of a space, the beginning of names as team-*, or * for all of them and the cluster.
Scopes are read, write and admin, which includes both. Gateways read the list that
ENGRAM_API_KEYS_FILE names, again whenever it changes. The key is the only thing on standard output;
--out writes it to a file that nobody else may read, and never over one that is there.

Examples:
  $ engram keys create ingest --scope 'notes:write' --file keys.json --out ingest.key
  $ engram keys create operator --scope '*:admin' --file keys.json
  $ engram keys create app --scope 'team-*:read,write' --scope '*:read'`,
    )
    .action(
      reporting(async (id: string, { scope, file, out, json }: Options) => {
        const { key, record } = made(id, scope);
        if (out !== undefined) await writeSecret(out, key);
        try {
          if (file !== undefined) await addTo(file, record);
        } catch (error) {
          if (out !== undefined) await rm(out, { force: true });
          throw error;
        }
        const given = out === undefined ? { key } : { keyFile: out };
        if (json === true) printJson({ ...given, record });
        else {
          if (out === undefined) console.log(key);
          const where = out === undefined ? 'This is the key' : `The key is in ${out}`;
          printNote(`${where}. It is kept nowhere else: it cannot be shown again.`);
          printNote(
            file === undefined
              ? `Its record, for the list of gateways:\n${JSON.stringify(record)}`
              : `Its record is in ${file}.`,
          );
        }
      }),
    );
}

function scopeOption(text: string, before: readonly ScopesOfPattern[] = []): ScopesOfPattern[] {
  try {
    return [...before, parseGrant(text)];
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

/** @throws UsageError */
function made(id: string, given: readonly ScopesOfPattern[]): ReturnType<typeof mintApiKey> {
  try {
    return mintApiKey(id, mergeGrants(given));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** @throws Error where the file is there: it may be the only place of another key */
async function writeSecret(file: string, key: string): Promise<void> {
  await writeFile(file, `${key}\n`, { mode: 0o600, flag: 'wx' }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      throw new Error(`${file} is there already; choose another file, or remove it first`);
    },
  );
}

/** Gateways see the list as it was or as it is, never half of it. */
async function addTo(file: string, record: ApiKeyRecord): Promise<void> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '[]';
    throw error;
  });
  ApiKeys.parse(text);
  const known = JSON.parse(text) as ApiKeyRecord[];
  if (known.some(({ id }) => id === record.id))
    throw new Error(`${file} already has a key ${record.id}; choose another id`);
  const list = [...known, record];
  const next = `[\n${list.map((each) => `  ${JSON.stringify(each)}`).join(',\n')}\n]\n`;
  ApiKeys.parse(next);
  const beside = `${file}.${randomUUID()}`;
  try {
    // Whoever was let in to read it before is let in again.
    const mode = await stat(file).then(
      (known) => known.mode & 0o777,
      () => 0o600,
    );
    await writeFile(beside, next, { mode: 0o600, flag: 'wx' });
    await chmod(beside, mode);
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
