import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findNatsServer, findRedisServer } from '../src/binaries/find.ts';
import { checksumOf, NATS_RELEASE, releaseName } from '../src/binaries/release.ts';
import { SetupError } from '../src/setup-error.ts';
import { scratch } from './scratch.ts';

const NAME = releaseName(process.platform, process.arch) ?? '';

/** An archive with a program that only prints a version. */
function makeArchive(version: string): Buffer {
  const folder = scratch();
  mkdirSync(join(folder, NAME));
  const program = join(folder, NAME, 'nats-server');
  writeFileSync(program, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  chmodSync(program, 0o755);
  execFileSync('tar', ['-czf', join(folder, 'a.tar.gz'), '-C', folder, NAME]);
  return readFileSync(join(folder, 'a.tar.gz'));
}

/** A release page on loopback; answers its base URL and what was asked of it. */
async function serveRelease(
  archive: Buffer,
  sum: string,
): Promise<{ readonly baseUrl: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const isSums = request.url === `/v${NATS_RELEASE}/SHA256SUMS`;
    response.end(isSums ? `${sum}  ${NAME}.tar.gz\n` : archive);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test('a release whose checksum fits is unpacked once and then found in the cache', async () => {
  const archive = makeArchive('2.10.29');
  const { baseUrl, asked } = await serveRelease(archive, sha256(archive));
  const options = { cacheDir: scratch(), releaseBaseUrl: baseUrl, sources: ['release'] as const };
  const fetched: string[] = [];
  const first = await findNatsServer({ ...options, onFetch: (name) => fetched.push(name) });
  expect(first).toMatchObject({ version: '2.10.29', source: 'release' });
  expect(await findNatsServer(options)).toEqual(first);
  expect(fetched).toEqual(['nats-server']);
  expect(asked).toHaveLength(2);
});

test('two processes that need a release at the same time fetch it once', async () => {
  const archive = makeArchive('2.10.29');
  const { baseUrl, asked } = await serveRelease(archive, sha256(archive));
  const options = { cacheDir: scratch(), releaseBaseUrl: baseUrl, sources: ['release'] as const };
  const found = await Promise.all([1, 2, 3].map(() => findNatsServer(options)));
  expect(new Set(found.map(({ path }) => path)).size).toBe(1);
  expect(asked).toHaveLength(2);
});

test('a release whose checksum does not fit is refused before it is unpacked', async () => {
  const { baseUrl } = await serveRelease(makeArchive('2.10.29'), 'a'.repeat(64));
  const cacheDir = scratch();
  const finding = findNatsServer({ cacheDir, releaseBaseUrl: baseUrl, sources: ['release'] });
  await expect(finding).rejects.toThrow(/checksum of .* not unpacked/);
  expect(readdirSync(cacheDir)).toEqual([]);
});

test('a release that is too old is not kept', async () => {
  const archive = makeArchive('2.9.10');
  const { baseUrl } = await serveRelease(archive, sha256(archive));
  const cacheDir = scratch();
  const finding = findNatsServer({ cacheDir, releaseBaseUrl: baseUrl, sources: ['release'] });
  await expect(finding).rejects.toThrow('is 2.9.10, needed is 2.10.0');
  expect(
    existsSync(join(cacheDir, `nats-server-release-${process.platform}-${process.arch}`)),
  ).toBe(false);
});

test('without any source the error says what to type', async () => {
  const failure = await findRedisServer({ cacheDir: scratch(), sources: [] }).catch(
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(SetupError);
  expect((failure as SetupError).fault).toBe('BINARY_MISSING');
  expect((failure as SetupError).hint).toMatch(/install redis/);
});

test('a checksum is read for exactly the file asked for', () => {
  const sum = 'b'.repeat(64);
  const sums = `${'a'.repeat(64)}  x-${NAME}.tar.gz\n${sum.toUpperCase()} *${NAME}.tar.gz\n`;
  expect(checksumOf(sums, `${NAME}.tar.gz`)).toBe(sum);
  expect(checksumOf(sums, 'other.tar.gz')).toBeUndefined();
  expect(checksumOf(`short  ${NAME}.tar.gz\n`, `${NAME}.tar.gz`)).toBeUndefined();
});

test('releases are known for the platforms that have one', () => {
  expect(releaseName('linux', 'x64')).toBe(`nats-server-v${NATS_RELEASE}-linux-amd64`);
  expect(releaseName('darwin', 'arm64')).toBe(`nats-server-v${NATS_RELEASE}-darwin-arm64`);
  expect(releaseName('win32', 'x64')).toBeUndefined();
});
