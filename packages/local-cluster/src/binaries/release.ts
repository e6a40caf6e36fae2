import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lastLine, runCommand } from '../command.ts';
import { messageOf } from '../setup-error.ts';
import type { Unpacked } from './binary-cache.ts';

/** The release that is fetched where no package is to be had. */
export const NATS_RELEASE = '2.10.29';
export const NATS_RELEASES = 'https://github.com/nats-io/nats-server/releases/download';

const DOWNLOAD_DEADLINE_MS = 180_000;
/** The archive has about 6 MB. */
const ARCHIVE_BYTES_MAX = 100 * 1024 * 1024;

/** `nats-server-v2.10.29-linux-amd64`, or undefined where no release is built for this machine. */
export function releaseName(platform: string, arch: string): string | undefined {
  const os = ['linux', 'darwin'].includes(platform) ? platform : undefined;
  const cpu = { x64: 'amd64', arm64: 'arm64' }[arch];
  return os === undefined || cpu === undefined
    ? undefined
    : `nats-server-v${NATS_RELEASE}-${os}-${cpu}`;
}

/**
 * Fetches the official release and unpacks it only when its SHA-256 is the one that the release's
 * own SHA256SUMS file states.
 */
export async function fetchRelease(
  into: string,
  baseUrl = NATS_RELEASES,
): Promise<Unpacked | { readonly refused: string }> {
  const name = releaseName(process.platform, process.arch);
  if (name === undefined)
    return { refused: `there is no release for ${process.platform} ${process.arch}` };
  const archive = `${name}.tar.gz`;
  try {
    const folder = `${baseUrl}/v${NATS_RELEASE}`;
    const sums = new TextDecoder().decode(await download(`${folder}/SHA256SUMS`));
    const expected = checksumOf(sums, archive);
    if (expected === undefined) return { refused: `SHA256SUMS does not name ${archive}` };
    const bytes = await download(`${folder}/${archive}`);
    const actual = createHash('sha256').update(bytes).digest('hex');
    if (actual !== expected)
      return { refused: `the checksum of ${archive} is ${actual}, not ${expected}: not unpacked` };
    return await unpack(bytes, into, name);
  } catch (error) {
    return { refused: `the release could not be downloaded: ${messageOf(error)}` };
  }
}

/** The sum that a `sha256sum` file states for a file. */
export function checksumOf(sums: string, file: string): string | undefined {
  for (const line of sums.split('\n')) {
    const [sum = '', name = ''] = line.trim().split(/\s+/);
    if (name.replace(/^\*/, '') === file && /^[0-9a-f]{64}$/i.test(sum)) return sum.toLowerCase();
  }
  return undefined;
}

async function download(url: string): Promise<Uint8Array> {
  const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_DEADLINE_MS) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.byteLength > ARCHIVE_BYTES_MAX) throw new Error(`${url} is too large`);
  return bytes;
}

async function unpack(
  bytes: Uint8Array,
  into: string,
  name: string,
): Promise<Unpacked | { readonly refused: string }> {
  const archive = join(into, 'release.tar.gz');
  await writeFile(archive, bytes);
  const outcome = await runCommand('tar', ['-xzf', archive, '-C', into], { deadlineMs: 60_000 });
  await rm(archive);
  if (!outcome.ok) return { refused: `tar could not unpack: ${lastLine(outcome.stderr)}` };
  return { executable: join(name, 'nats-server'), libraries: [] };
}
