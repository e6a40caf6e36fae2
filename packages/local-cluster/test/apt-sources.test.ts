import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  distributionSources,
  formatAptSource,
  parseDeb822Sources,
  parseOneLineSources,
  readAptSources,
} from '../src/binaries/apt-sources.ts';
import { newerSource, parseDistribution } from '../src/binaries/debian.ts';
import { parseSimulation } from '../src/binaries/private-apt.ts';
import { scratch } from './scratch.ts';

const KEY = '/usr/share/keyrings/debian-archive-keyring.gpg';

test('one-line sources are read with and without options', () => {
  const text = `# deb http://old.test/debian bookworm main
deb http://mirror.test/debian/ bookworm main contrib # the nearest
deb-src http://mirror.test/debian bookworm main
  deb [ arch=amd64 signed-by=${KEY} ] http://mirror.test/security bookworm-security main
`;
  expect(parseOneLineSources(text)).toEqual([
    { uri: 'http://mirror.test/debian', suite: 'bookworm', components: ['main', 'contrib'] },
    {
      uri: 'http://mirror.test/security',
      suite: 'bookworm-security',
      components: ['main'],
      signedBy: KEY,
    },
  ]);
});

test('deb822 sources are read with comments, several suites, continued lines and embedded keys', () => {
  const text = `Types: deb deb-src
# a comment inside a stanza
URIs: http://mirror.test/debian
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: ${KEY}

Types: deb
URIs: http://other.test/debian
Suites: stable
Components: main
Enabled: no
   
types: deb
uris: http://own.test/ubuntu
suites: noble
components: main universe
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
`;
  const main = { uri: 'http://mirror.test/debian', components: ['main'], signedBy: KEY };
  expect(parseDeb822Sources(text)).toEqual([
    { ...main, suite: 'bookworm' },
    { ...main, suite: 'bookworm-updates' },
    { uri: 'http://own.test/ubuntu', suite: 'noble', components: ['main', 'universe'] },
  ]);
});

test('a folder of both formats is read, other files are not', async () => {
  const folder = scratch();
  mkdirSync(join(folder, 'sources.list.d'));
  writeFileSync(join(folder, 'sources.list'), 'deb http://a.test/debian bookworm main\n');
  const parts: [string, string][] = [
    ['b.list', 'deb http://b.test/debian bookworm-updates main\n'],
    ['c.sources', 'Types: deb\nURIs: http://c.test\nSuites: bookworm\nComponents: stable\n'],
    ['d.list.disabled', 'deb http://d.test/debian bookworm main\n'],
  ];
  for (const [name, text] of parts) writeFileSync(join(folder, 'sources.list.d', name), text);
  const all = await readAptSources(folder);
  expect(all.map(({ uri }) => uri)).toEqual([
    'http://a.test/debian',
    'http://b.test/debian',
    'http://c.test',
  ]);
  expect(distributionSources(all, 'bookworm').map(formatAptSource)).toEqual([
    'deb http://a.test/debian bookworm main',
    'deb http://b.test/debian bookworm-updates main',
  ]);
  expect(await readAptSources(join(folder, 'nowhere'))).toEqual([]);
});

test('the newer release comes from the mirror that the machine uses, on Debian only', () => {
  const own = parseOneLineSources('deb http://mirror.test/debian bookworm main contrib\n');
  expect(newerSource(own, { id: 'debian', codename: 'bookworm' })).toEqual({
    uri: 'http://mirror.test/debian',
    suite: 'trixie',
    components: ['main'],
    signedBy: KEY,
  });
  expect(newerSource(own, { id: 'ubuntu', codename: 'bookworm' })).toBeUndefined();
  expect(newerSource(own, { id: 'debian', codename: 'trixie' })).toBeUndefined();
});

test('only Debian and Ubuntu releases with a codename are served', () => {
  const debian = 'ID=debian\nVERSION_CODENAME=bookworm\n';
  expect(parseDistribution(debian)).toEqual({ id: 'debian', codename: 'bookworm' });
  const ubuntu = 'ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME="noble"\n';
  expect(parseDistribution(ubuntu)).toEqual({ id: 'ubuntu', codename: 'noble' });
  expect(parseDistribution('ID=fedora\nVERSION_CODENAME=""\n')).toBeUndefined();
});

test('a simulated install names the packages that are missing', () => {
  const text = `The following NEW packages will be installed:
  liblzf1 redis-tools
Inst liblzf1 (3.6-3 Debian:12.15/oldstable [amd64])
Inst redis-tools [5:6.0-1] (5:7.0.15-1~deb12u7 Debian:12.15/oldstable [amd64]) []
Conf liblzf1 (3.6-3 Debian:12.15/oldstable [amd64])
`;
  expect(parseSimulation(text)).toEqual(['liblzf1=3.6-3', 'redis-tools=5:7.0.15-1~deb12u7']);
});
