import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../setup-error.ts';

/** One archive, suite and its components, from which apt may install. */
export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  readonly signedBy?: string;
}

/** The one-line format: `deb [signed-by=… arch=…] URI suite component…`. Source: sources.list(5). */
export function parseOneLineSources(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?([^\s#]+)\s+([^\s#]+)([^#]*)/.exec(line);
    if (match === null) return [];
    const [, options = '', uri = '', suite = '', components = ''] = match;
    return [source(uri, suite, words(components), /\bsigned-by=(\S+)/i.exec(options)?.[1])];
  });
}

/** The deb822 format: stanzas of `Field: value`, continued by indented lines. */
export function parseDeb822Sources(text: string): AptSource[] {
  const lines = text.split('\n').filter((line) => !line.startsWith('#'));
  return lines
    .join('\n')
    .split(/\n(?:[ \t]*\n)+/)
    .flatMap(parseStanza);
}

function parseStanza(stanza: string): AptSource[] {
  const fields = new Map<string, string>();
  for (const field of stanza.split(/\n(?=\S)/)) {
    const colon = field.indexOf(':');
    if (colon > 0) fields.set(field.slice(0, colon).trim().toLowerCase(), field.slice(colon + 1));
  }
  const list = (name: string): string[] => words(fields.get(name) ?? '');
  const off = ['no', 'false', 'without', 'off', 'disable', '0'];
  if (!list('types').includes('deb') || off.includes(list('enabled')[0]?.toLowerCase() ?? 'yes'))
    return [];
  // A key may also stand in the stanza itself; apt's own keyring is used instead then.
  const key = list('signed-by')[0];
  return list('uris').flatMap((uri) =>
    list('suites').map((suite) => source(uri, suite, list('components'), key)),
  );
}

function source(
  uri: string,
  suite: string,
  components: readonly string[],
  key: string | undefined,
): AptSource {
  const signedBy = key !== undefined && key.startsWith('/') ? { signedBy: key } : {};
  return { uri: uri.replace(/\/+$/, ''), suite, components, ...signedBy };
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** Reads all sources that apt itself would read below `/etc/apt`. */
export async function readAptSources(folder = '/etc/apt'): Promise<AptSource[]> {
  const parts = join(folder, 'sources.list.d');
  const names = (await orNothing(readdir(parts))) ?? [];
  const found = parseOneLineSources((await text(join(folder, 'sources.list'))) ?? '');
  for (const name of names.sort()) {
    if (name.endsWith('.list'))
      found.push(...parseOneLineSources((await text(join(parts, name))) ?? ''));
    if (name.endsWith('.sources'))
      found.push(...parseDeb822Sources((await text(join(parts, name))) ?? ''));
  }
  return found;
}

/** Those of the distribution itself; others may be private, slow, or need a password. */
export function distributionSources(all: readonly AptSource[], codename: string): AptSource[] {
  const suites = ['', '-updates', '-security', '/updates'].map((end) => codename + end);
  return all.filter(
    ({ uri, suite, components }) =>
      suites.includes(suite) && components.includes('main') && !uri.startsWith('cdrom:'),
  );
}

export function formatAptSource({ uri, suite, components, signedBy }: AptSource): string {
  const options = signedBy === undefined ? '' : `[signed-by=${signedBy}] `;
  return `deb ${options}${uri} ${suite} ${components.join(' ')}`;
}

function text(path: string): Promise<string | undefined> {
  return orNothing(readFile(path, 'utf8'));
}

async function orNothing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    // A file that only root may read holds somebody's password: not ours to use.
    if (['ENOENT', 'EACCES', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}
