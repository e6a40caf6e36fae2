import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Of data sets, whatever the run: not in git, and made again when it is gone. */
export const CACHE = fileURLToPath(new URL('../cache/', import.meta.url));

/**
 * What was kept under the name, or what is made and kept now.
 * @param isSuch whether a value is what would be made
 */
export async function cached<T>(
  name: string,
  isSuch: (value: unknown) => value is T,
  make: () => Promise<T>,
): Promise<T> {
  const path = join(CACHE, `${name}.json`);
  try {
    const kept: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (isSuch(kept)) return kept;
  } catch {
    // Not there, or cut off by a full disk: it is made again.
  }
  const made = await make();
  keep(path, JSON.stringify(made));
  return made;
}

/** All of it or nothing, whoever writes the same at the same time. */
export function keep(path: string, content: string | Uint8Array): void {
  mkdirSync(CACHE, { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, content);
  renameSync(temporary, path);
}
