import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Of data sets, whatever the run: not in git, and made again when it is gone. */
export const CACHE = fileURLToPath(new URL('../cache/', import.meta.url));

/** What was kept under the name, or what is made and kept now. */
export async function cached<T>(name: string, make: () => Promise<T>): Promise<T> {
  const path = join(CACHE, `${name}.json`);
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    // Not there, or cut off by a full disk: it is made again.
  }
  const made = await make();
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(`${path}.tmp`, JSON.stringify(made));
  renameSync(`${path}.tmp`, path);
  return made;
}
