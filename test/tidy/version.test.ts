// The version is written down where it is told.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string) => readFileSync(`${ROOT}${path}`, 'utf8');

test.each([
  'packages/cli/src/main.ts',
  'packages/metrics/src/catalogue.ts',
  'services/gateway/src/http/server.ts',
])('%s tells the version of the package', (path) => {
  const { version } = JSON.parse(read('package.json')) as { readonly version: string };
  expect(/version\b[:= ]+'(.+?)'/i.exec(read(path))?.[1]).toBe(version);
});
