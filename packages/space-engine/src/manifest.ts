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
import { writeParts, writeWhole } from '@engram/storage';
import type { StoredDeaths } from './deaths.ts';
import { damaged } from './rows-file.ts';
import type { Encoding } from '@engram/vector-index';
import type { StoredRetention } from './retention.ts';

const VERSION = 5;
/** All of it in one text, deaths in base64: of half a million it held a worker for a tenth of a second. */
const VERSION_OF_TEXT = 4;
/** Deaths as pairs in a list. */
const VERSION_WITH_LISTS = 3;
export const FILE_NAME = 'manifest';

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
  await writeWhole(join(folder, FILE_NAME), (file) => writeParts(file, encodeManifest(manifest)));
}

/**
 * As it stands in the folder, in parts, for they may be large: a line with version, checksum and length of
 * the head; the head, which is JSON; and the deaths of each segment, float64 in little-endian (M1).
 */
export function encodeManifest(manifest: Manifest): readonly Uint8Array[] {
  // Of no bytes zlib answers the checksum that it begins with.
  const deaths = manifest.segments.flatMap((segment) =>
    segment.deaths.length === 0 ? [] : [bytesOf(segment.deaths)],
  );
  const segments = manifest.segments.map((segment) => ({
    ...segment,
    deaths: segment.deaths.length,
  }));
  const head = JSON.stringify({ ...manifest, segments }, (_, value: unknown) =>
    value instanceof Float32Array ? bytesOf(value).toString('base64') : value,
  );
  const checksum = deaths.reduce((crc, part) => crc32(part, crc), crc32(head));
  const start = Buffer.from(`${VERSION} ${checksum} ${Buffer.byteLength(head)}\n${head}`, 'utf8');
  return [start, ...deaths];
}

/**
 * @returns undefined when there is none
 * @throws ClusterError SEGMENT_DAMAGED
 */
export async function readManifest(folder: string): Promise<Manifest | undefined> {
  const path = join(folder, FILE_NAME);
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw damaged(path, error);
  }
  return decodeManifest(bytes, path);
}

/** @throws ClusterError SEGMENT_DAMAGED that names where the bytes came from */
export function decodeManifest(bytes: Buffer, path: string): Manifest {
  const end = bytes.indexOf('\n');
  const [version, checksum, headBytes] = bytes.toString('latin1', 0, end).split(' ').map(Number);
  const body = bytes.subarray(end + 1);
  if (version !== VERSION && version !== VERSION_OF_TEXT && version !== VERSION_WITH_LISTS)
    throw damaged(path, new Error('its version is not known'));
  if (crc32(body) !== checksum) throw damaged(path, new Error('it has another checksum'));
  const head = headOf(body.subarray(0, headBytes), path);
  let at = headBytes!;
  const segments = head.segments.map((segment): SegmentEntry => {
    const count: unknown = segment.deaths;
    if (typeof count !== 'number') return segment;
    const deaths = new Float64Array(count);
    body.copy(bytesOf(deaths), 0, at);
    at += deaths.byteLength;
    return { ...segment, deaths };
  });
  return { ...head, segments };
}

/** The length of the head is beside its checksum: it may be another one. */
function headOf(bytes: Buffer, path: string): Manifest {
  try {
    return JSON.parse(bytes.toString('utf8'), revived) as Manifest;
  } catch (error) {
    throw damaged(path, error);
  }
}

function revived(key: string, value: unknown): unknown {
  if (key === 'centre' && typeof value === 'string') return new Float32Array(fromBase64(value));
  if (key !== 'deaths' || typeof value === 'number') return value;
  // Of a text, and of one with lists.
  return typeof value === 'string'
    ? new Float64Array(fromBase64(value))
    : Float64Array.from((value as number[][]).flat());
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Float64Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function fromBase64(text: string): ArrayBuffer {
  return Uint8Array.from(Buffer.from(text, 'base64')).buffer;
}
