import { join } from 'node:path';
import { lastLine, runCommand, whichProgram } from '../command.ts';
import { isFound, probeBinary, type Found, type ServerSpec } from './server-binary.ts';

/** Homebrew may have to fetch a whole toolchain's metadata first. */
const INSTALL_DEADLINE_MS = 600_000;

/** Shells without Homebrew's setup lack its folder in PATH. */
const PLACES = [
  '/opt/homebrew/bin/brew',
  '/usr/local/bin/brew',
  '/home/linuxbrew/.linuxbrew/bin/brew',
];

/** A binary that Homebrew has, or installs. */
export async function fromHomebrew(spec: ServerSpec): Promise<Found> {
  const brew = await findBrew();
  if (brew === undefined) return { refused: 'there is no Homebrew' };
  const { stdout } = await runCommand(brew, ['--prefix']);
  const path = join(stdout.trim(), 'bin', spec.name);
  const present = await probeBinary(spec, 'homebrew', path);
  if (isFound(present)) return present;
  const outcome = await runCommand(brew, ['install', spec.formula], {
    deadlineMs: INSTALL_DEADLINE_MS,
  });
  if (!outcome.ok) return { refused: `Homebrew failed: ${lastLine(outcome.stderr)}` };
  return probeBinary(spec, 'homebrew', path);
}

async function findBrew(): Promise<string | undefined> {
  const inPath = await whichProgram('brew');
  if (inPath !== undefined) return inPath;
  for (const place of PLACES) if ((await runCommand(place, ['--version'])).ok) return place;
  return undefined;
}
