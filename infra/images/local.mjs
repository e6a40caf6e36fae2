// Base images made on this machine from packages of Debian and npm, with the tags that docker-compose.yml and the
// Dockerfiles name, for places that reach no image registry: node infra/images/local.mjs
//
// They are stand-ins: the programs are Debian's, whose versions differ a little, and each carries the label
// engram.stand-in. An image that is there already, pulled or made, is left as it is. Grafana is in no package:
// its stand-in serves one page that says so.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { debootstrapped, mirror, unpacked } from '../setup/debian.mjs';
import { asCommand, run, SetupFailure, step, tryRun } from '../setup/step.mjs';
import { CACHE, dockerOptions, startEngine } from './engine.mjs';

const SUITE = 'bookworm';
const NEWER_SUITE = 'trixie';
const BASE = `debian:${SUITE}-slim`;
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';
const NODE_VERSION = '22.23.3';
const NPM_VERSION = '10.9.4';

/** Tag → how it is made. */
const IMAGES = {
  [BASE]: debian,
  'node:22-bookworm-slim': node,
  'nats:2.10.29-alpine': nats,
  'redis:7.2-bookworm': redis,
  'haproxy:3.0-alpine': haproxy,
  'prom/prometheus:v2.53.5': prometheus,
  'grafana/grafana:11.6.3': grafana,
};

/** @param env of `startEngine` */
export async function makeImages(env) {
  const docker = dockerOptions(env);
  const makeOne = ([tag, make]) =>
    step(tag, async () => {
      if ((await tryRun('docker', ['image', 'inspect', tag], docker)).ok) return 'is there';
      const context = mkdtempSync(join(tmpdir(), 'engram-image-'));
      try {
        await make(tag, context, docker);
      } finally {
        rmSync(context, { recursive: true, force: true });
      }
      return 'made here';
    });
  const [base, ...others] = Object.entries(IMAGES);
  await makeOne(base);
  // They wait for packages, not for each other.
  const outcomes = await Promise.allSettled(others.map(makeOne));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

async function debian(tag, _context, docker) {
  const root = join(CACHE, 'images', SUITE);
  if (!existsSync(root)) {
    mkdirSync(join(CACHE, 'images'), { recursive: true });
    const draft = `${root}.draft`;
    rmSync(draft, { recursive: true, force: true });
    await debootstrapped(SUITE, draft, ['ca-certificates']);
    writeFileSync(join(draft, 'etc/apt/sources.list'), `${await sources()}\n`);
    // Whom this machine believes, its builds believe: there may be a proxy with a certificate of its own.
    if (existsSync(CERTIFICATES)) cpSync(CERTIFICATES, join(draft, CERTIFICATES));
    rmSync(join(draft, 'var/cache/apt/archives'), { recursive: true, force: true });
    mkdirSync(join(draft, 'var/cache/apt/archives/partial'), { recursive: true });
    renameSync(draft, root);
  }
  const imported = `tar --directory "$0" --create . | docker import --change 'CMD ["bash"]' --change 'LABEL engram.stand-in=true' - "$1"`;
  await run('sh', ['-c', imported, root, tag], docker);
}

async function sources() {
  const from = await mirror();
  return [`deb ${from} ${SUITE} main`, `deb ${from} ${SUITE}-updates main`].join('\n');
}

async function node(tag, context, docker) {
  const arch = { x64: 'x64', arm64: 'arm64' }[process.arch];
  if (arch === undefined) throw new SetupFailure(`npm has no Node for ${process.arch}`);
  for (const name of [`node-linux-${arch}@${NODE_VERSION}`, `npm@${NPM_VERSION}`])
    await run('npm', ['pack', '--silent', name], { cwd: context });
  await build(
    tag,
    context,
    docker,
    `
    FROM ${BASE}
    COPY node-linux-*.tgz npm-*.tgz /tmp/
    RUN tar -xzf /tmp/node-linux-*.tgz -C /usr/local --strip-components=1 package/bin package/include \\
      && mkdir -p /usr/local/lib/node_modules/npm \\
      && tar -xzf /tmp/npm-*.tgz -C /usr/local/lib/node_modules/npm --strip-components=1 \\
      && ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \\
      && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx \\
      && chmod +x /usr/local/lib/node_modules/npm/bin/*.js \\
      && rm /tmp/*.tgz \\
      && groupadd --gid 1000 node && useradd --uid 1000 --gid node --create-home node
    RUN apt-get update && apt-get install -y --no-install-recommends libstdc++6 && rm -rf /var/lib/apt/lists/*
    ENV NODE_EXTRA_CA_CERTS=${CERTIFICATES}
    CMD ["node"]`,
  );
}

async function nats(tag, context, docker) {
  await unpacked(NEWER_SUITE, ['nats-server'], join(context, 'root'));
  rmSync(join(context, 'root/.apt'), { recursive: true });
  await build(
    tag,
    context,
    docker,
    `
    FROM ${BASE}
    ${busybox()}
    COPY root/usr/sbin/nats-server /usr/local/bin/nats-server
    CMD ["nats-server"]`,
  );
}

async function redis(tag, context, docker) {
  await build(
    tag,
    context,
    docker,
    `
    FROM ${BASE}
    RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \\
      && mkdir -p /data && chown redis:redis /data
    VOLUME /data
    WORKDIR /data
    CMD ["redis-server"]`,
  );
}

async function haproxy(tag, context, docker) {
  await build(
    tag,
    context,
    docker,
    `
    FROM ${BASE}
    RUN apt-get update && apt-get install -y --no-install-recommends haproxy busybox && rm -rf /var/lib/apt/lists/* \\
      && ln -s /bin/busybox /usr/local/bin/wget && mkdir -p /usr/local/etc/haproxy
    USER haproxy
    STOPSIGNAL SIGUSR1
    CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]`,
  );
}

async function prometheus(tag, context, docker) {
  await build(
    tag,
    context,
    docker,
    `
    FROM ${BASE}
    RUN apt-get update && apt-get install -y --no-install-recommends prometheus busybox && rm -rf /var/lib/apt/lists/* \\
      && ln -s /bin/busybox /usr/local/bin/wget && mkdir -p /prometheus && chown nobody /prometheus
    USER nobody
    VOLUME /prometheus
    WORKDIR /prometheus
    ENTRYPOINT ["prometheus"]`,
  );
}

async function grafana(tag, context, docker) {
  mkdirSync(join(context, 'site/api'), { recursive: true });
  writeFileSync(join(context, 'site/api/health'), '{"database":"stand-in"}\n');
  writeFileSync(
    join(context, 'site/index.html'),
    '<!doctype html><title>Grafana is not here</title><p>This image only stands in for Grafana, which could not be pulled. Prometheus is on port 9090, the console on 7700/console.\n',
  );
  await build(
    tag,
    context,
    docker,
    `
    FROM ${BASE}
    ${busybox()}
    COPY site /site
    RUN mkdir -p /var/lib/grafana && chown 472:0 /var/lib/grafana
    USER 472
    STOPSIGNAL SIGKILL
    CMD ["busybox", "httpd", "-f", "-p", "3000", "-h", "/site"]`,
  );
}

/** What the images of Alpine have a wget from. */
function busybox() {
  return `RUN apt-get update && apt-get install -y --no-install-recommends busybox && rm -rf /var/lib/apt/lists/* \\
      && ln -s /bin/busybox /usr/local/bin/wget`;
}

async function build(tag, context, docker, text) {
  const lines = text
    .trim()
    .split('\n')
    .map((line) => line.replace(/^ {4}/, ''));
  writeFileSync(join(context, 'Dockerfile'), `${lines.join('\n')}\nLABEL engram.stand-in=true\n`);
  await run('docker', ['build', '--tag', tag, context], docker);
}

await asCommand(import.meta.url, async () => makeImages(await startEngine()));
