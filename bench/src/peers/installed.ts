// Where `pnpm bench:peers` has put what is compared with.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const FOLDER = new URL('../../peers/', import.meta.url);
const HINT = 'install with: pnpm bench:peers';

/** A Debian in a folder, with a slash at its end. */
export const SYSTEM = fileURLToPath(new URL('.root/trixie/', FOLDER));

const requireThere = createRequire(new URL('package.json', FOLDER));

/** A package that this repository does not depend on; `T` is what is used of it. */
export function packageThere<T>(name: string): T {
  return requireThere(name) as T;
}

export function packageAbsence(...names: readonly string[]): string | undefined {
  const missing = names.find((name) => !existsSync(new URL(`node_modules/${name}/`, FOLDER)));
  return missing === undefined
    ? undefined
    : `absent: the package ${missing} is not installed; ${HINT}`;
}

/** @param program its path in the system */
export function serverAbsence(program: string): string | undefined {
  if (!existsSync(SYSTEM + program)) return `absent: ${program} is not installed; ${HINT}`;
  return process.getuid?.() === 0 ? undefined : 'absent: it runs by chroot, which only root may';
}
