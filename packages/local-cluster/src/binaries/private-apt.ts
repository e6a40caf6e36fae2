import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lastLine, runCommand } from '../command.ts';
import { formatAptSource, type AptSource } from './apt-sources.ts';

const UPDATE_DEADLINE_MS = 120_000;
const DOWNLOAD_DEADLINE_MS = 180_000;

/**
 * An apt with its own sources, lists and archives in a folder of its own. It reads which packages
 * the machine has and changes nothing about them, so it needs no root, and it runs none of the
 * system's hooks. Whoever opens one closes it.
 */
export class PrivateApt {
  readonly #folder: string;
  readonly #config: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#config = join(folder, 'apt.conf');
  }

  /** Opens with fresh package lists, or says why they could not be had. */
  static async open(
    parent: string,
    sources: readonly AptSource[],
  ): Promise<PrivateApt | { readonly refused: string }> {
    const apt = new PrivateApt(await mkdtemp(join(parent, 'draft-apt-')));
    await apt.#write(sources);
    const outcome = await apt.#run('apt-get', ['update', '-q'], UPDATE_DEADLINE_MS);
    if (outcome.ok) return apt;
    await apt.close();
    return { refused: `apt has no package lists: ${lastLine(outcome.stderr)}` };
  }

  /** The version that would be installed. */
  async candidate(name: string): Promise<string | undefined> {
    const { stdout } = await this.#run('apt-cache', ['policy', name]);
    return parseCandidate(stdout);
  }

  /** The package and those of its dependencies that this machine has not: `name=version`. */
  async missing(name: string): Promise<string[]> {
    const args = ['--simulate', '--no-install-recommends', 'install', name];
    const { stdout } = await this.#run('apt-get', args);
    return parseSimulation(stdout);
  }

  /** Downloads packages and unpacks them, without their scripts, into a folder. */
  async unpack(
    packages: readonly string[],
    into: string,
  ): Promise<{ refused: string } | undefined> {
    const archives = join(this.#folder, 'debs');
    await mkdir(archives, { recursive: true });
    const args = ['download', '-q', ...packages];
    const outcome = await this.#run('apt-get', args, DOWNLOAD_DEADLINE_MS, archives);
    if (!outcome.ok) return { refused: `apt could not download: ${lastLine(outcome.stderr)}` };
    for (const archive of (await readdir(archives)).filter((each) => each.endsWith('.deb'))) {
      const unpacking = await runCommand('dpkg', ['-x', join(archives, archive), into], {
        deadlineMs: 60_000,
      });
      if (!unpacking.ok) return { refused: `dpkg could not unpack ${archive}` };
    }
    return undefined;
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #write(sources: readonly AptSource[]): Promise<void> {
    const lists = join(this.#folder, 'lists');
    const archives = join(this.#folder, 'archives');
    await mkdir(join(lists, 'partial'), { recursive: true });
    await mkdir(join(archives, 'partial'), { recursive: true });
    const list = join(this.#folder, 'sources.list');
    await writeFile(list, `${sources.map(formatAptSource).join('\n')}\n`);
    await writeFile(
      this.#config,
      [
        // Hooks of the system act on the system; a configuration given with -c may clear them.
        '#clear APT::Update::Pre-Invoke;',
        '#clear APT::Update::Post-Invoke;',
        '#clear APT::Update::Post-Invoke-Success;',
        `Dir::Etc::SourceList "${list}";`,
        'Dir::Etc::SourceParts "-";',
        `Dir::State::Lists "${lists}";`,
        `Dir::Cache "${this.#folder}";`,
        `Dir::Cache::Archives "${archives}";`,
        'Acquire::Languages "none";',
        'Acquire::Retries "2";',
        // Under root apt would change to a user that may not enter this folder.
        'APT::Sandbox::User "root";',
        '',
      ].join('\n'),
    );
  }

  #run(
    program: string,
    args: readonly string[],
    deadlineMs = 30_000,
    cwd = this.#folder,
  ): ReturnType<typeof runCommand> {
    return runCommand(program, ['-c', this.#config, ...args], { deadlineMs, cwd });
  }
}

/** The `Candidate:` of what `apt-cache policy` prints. */
export function parseCandidate(text: string): string | undefined {
  const version = /^\s*Candidate:\s*(\S+)/m.exec(text)?.[1];
  return version === '(none)' ? undefined : version;
}

/** `Inst name (version origin [arch])` lines of a simulated install. */
export function parseSimulation(text: string): string[] {
  return [...text.matchAll(/^Inst (\S+) (?:\[[^\]]*\] )?\((\S+)/gm)].map(
    ([, name, version]) => `${name}=${version}`,
  );
}
