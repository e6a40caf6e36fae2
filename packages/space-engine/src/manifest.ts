// What a space's folder holds: which files make it up and what is known beside them. It is a cache of
// the log: whatever is missing or damaged is rebuilt from there.
//
//   M1. It is complete under its name or not there (written beside it and renamed), and checksummed.
//   M2. Every entry up to `completeTo` is in it; later ones may be, and change nothing when they come
//       again.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { SpaceConfig } from '@engram/model';
import { writeWhole } from '@engram/storage';
import type { StoredDeaths } from './deaths.ts';
import { damaged } from './rows-file.ts';
import type { Encoding } from '@engram/vector-index';
import type { StoredRetention } from './retention.ts';

const VERSION = 4;
/** Deaths as pairs in a list, which took half a second to read where there were many. */
const VERSION_WITH_LISTS = 3;
export const FILE_NAME = 'manifest.json';

export interface SegmentEntry {
  /** Names its files: `<file>.rows`, `<file>.graph`. */
  readonly file: number;
  /** The mark of its file of rows: another file in its place is not taken for it. */
  readonly checksum: number;
  /** Without one, the rows are of a segment in memory, and go back there when the space is opened. */
  readonly graph?: { readonly bytes: number; readonly crc: number; readonly encoding: Encoding };
  /** Dead rows and the stamps of their deaths. */
  readonly deaths: StoredDeaths;
}

export interface Manifest extends StoredRetention {
  readonly config: SpaceConfig;
  /** Living observations. */
  readonly count: number;
  readonly segments: readonly SegmentEntry[];
  readonly tombstones: readonly (readonly [id: string, stamp: number])[];
  readonly completeTo: number;
  readonly nextFile: number;
}

export function rowsPath(folder: string, file: number): string {
  return join(folder, `${file}.rows`);
}

export function graphPath(folder: string, file: number): string {
  return join(folder, `${file}.graph`);
}

export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  await writeWhole(join(folder, FILE_NAME), (file) => file.writeFile(encodeManifest(manifest)));
}

/** As it stands in the folder: a line with version and checksum, and JSON (M1). */
export function encodeManifest(manifest: Manifest): string {
  const body = JSON.stringify(manifest, (_, value: unknown) =>
    value instanceof Float32Array || value instanceof Float64Array ? toBase64(value) : value,
  );
  return `${VERSION} ${crc32(body)}\n${body}`;
}

/**
 * @returns undefined when there is none
 * @throws ClusterError SEGMENT_DAMAGED
 */
export async function readManifest(folder: string): Promise<Manifest | undefined> {
  const path = join(folder, FILE_NAME);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw damaged(path, error);
  }
  return decodeManifest(text, path);
}

/** @throws ClusterError SEGMENT_DAMAGED that names where the text came from */
export function decodeManifest(text: string, path: string): Manifest {
  const end = text.indexOf('\n');
  const [version, checksum] = text.slice(0, end).split(' ').map(Number);
  const body = text.slice(end + 1);
  if (version !== VERSION && version !== VERSION_WITH_LISTS)
    throw damaged(path, new Error('its version is not known'));
  if (crc32(body) !== checksum) throw damaged(path, new Error('it has another checksum'));
  return JSON.parse(body, (key, value: unknown) => {
    if (key === 'centre' && typeof value === 'string') return new Float32Array(fromBase64(value));
    if (key !== 'deaths') return value;
    return typeof value === 'string'
      ? new Float64Array(fromBase64(value))
      : Float64Array.from((value as number[][]).flat());
  }) as Manifest;
}

function toBase64({ buffer, byteOffset, byteLength }: Float32Array | Float64Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}

function fromBase64(text: string): ArrayBuffer {
  return Uint8Array.from(Buffer.from(text, 'base64')).buffer;
}
