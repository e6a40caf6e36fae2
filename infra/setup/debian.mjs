// Debian's packages, from where this machine's own apt gets them.

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { run, SetupFailure, tryRun } from './step.mjs';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** The address of the archive. */
export async function mirror() {
  const format = ['indextargets', '--format', '$(ORIGIN) $(REPO_URI)', 'Created-By: Packages'];
  const own = async () =>
    (await run('apt-get', format)).split('\n').find((line) => line.startsWith('Debian '));
  let line = await own();
  if (line === undefined) {
    await run('apt-get', ['update']);
    line = await own();
  }
  if (line === undefined) throw new SetupFailure('apt has no source of Debian here');
  return line.split(' ')[1];
}

/** Programs of this release, installed with what they need. */
export async function installed(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['install', '-y', '-q', '--no-install-recommends', ...packages];
  if ((await tryRun('apt-get', install, { env })).ok) return;
  await run('apt-get', ['update', '-q'], { env });
  await run('apt-get', install, { env });
}

/** A Debian in a folder of its own. */
export async function debootstrapped(suite, folder, packages) {
  if (process.platform !== 'linux' || process.getuid() !== 0)
    throw new SetupFailure('a Debian in a folder needs Linux, and root for debootstrap and chroot');
  if (!(await tryRun('debootstrap', ['--version'])).ok) await installed(['debootstrap']);
  await run('debootstrap', [
    '--variant=minbase',
    `--keyring=${KEYRING}`,
    ...(packages.length > 0 ? [`--include=${packages.join(',')}`] : []),
    suite,
    folder,
    await mirror(),
  ]);
}

/** Packages of another release, unpacked into a folder: nothing is installed, no service starts. */
export async function unpacked(suite, packages, folder) {
  const apt = `${folder}/.apt`;
  mkdirSync(`${apt}/lists`, { recursive: true });
  writeFileSync(
    `${apt}/sources.list`,
    `deb [signed-by=${KEYRING}] ${await mirror()} ${suite} main\n`,
  );
  const options = [
    `-oDir::Etc::SourceList=${apt}/sources.list`,
    '-oDir::Etc::SourceParts=-',
    `-oDir::State::Lists=${apt}/lists`,
    `-oDir::Cache::pkgcache=`,
    `-oDir::Cache::srcpkgcache=`,
    '-oAPT::Sandbox::User=root',
  ];
  await run('apt-get', [...options, '-q', 'update'], { cwd: apt });
  await run('apt-get', [...options, '-q', 'download', ...packages], { cwd: apt });
  for (const name of readdirSync(apt).filter((each) => each.endsWith('.deb')))
    await run('dpkg', ['-x', `${apt}/${name}`, folder]);
  return folder;
}
