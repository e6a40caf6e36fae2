// One space's share of a checkpoint: its manifest, the small ones of its files, and the names under which
// the large ones are stored.
//
//   u32, little-endian   length of the head
//   head                 JSON: SectionHead
//   then                 the manifest, and the bytes of the files that have no blob, in order

import { ClusterError, type SpaceConfig } from '@engram/model';
import { writeParts, writeWhole } from './whole-file.ts';

export interface SectionFile {
  /** In the space's folder. */
  readonly name: string;
  readonly bytes: number;
  /** Where it is stored; without one its bytes stand in the section. */
  readonly blob?: string;
}

export interface SectionHead {
  readonly config: SpaceConfig;
  /** Of its length; sections that were written before have it here, as a text. */
  readonly manifest: number | string;
  readonly files: readonly SectionFile[];
}

/**
 * Writes a section; complete under its name or not there.
 * @param manifest as it stands in the space's folder, in parts
 * @param inline the bytes of each file without a blob, in order
 */
export async function writeSection(
  path: string,
  { config, files }: Omit<SectionHead, 'manifest'>,
  manifest: readonly Uint8Array[],
  inline: readonly Uint8Array[],
): Promise<number> {
  const head: SectionHead = { config, manifest: lengthOf(manifest), files };
  const text = Buffer.from(JSON.stringify(head), 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  const parts = [length, text, ...manifest, ...inline];
  await writeWhole(path, (file) => writeParts(file, parts));
  return lengthOf(parts);
}

/** @throws ClusterError CHECKPOINT_DAMAGED */
export function decodeSection(bytes: Buffer): {
  readonly head: SectionHead;
  readonly manifest: Buffer;
  readonly inline: ReadonlyMap<string, Uint8Array>;
} {
  try {
    let at = 4 + bytes.readUInt32LE(0);
    const head = JSON.parse(bytes.toString('utf8', 4, at)) as SectionHead;
    const take = (length: number) => bytes.subarray(at, (at += length));
    const manifest =
      typeof head.manifest === 'string' ? Buffer.from(head.manifest) : take(head.manifest);
    const inline = new Map<string, Uint8Array>();
    for (const { name, bytes: length, blob } of head.files)
      if (blob === undefined) inline.set(name, take(length));
    if (at !== bytes.length) throw new Error('it has another length');
    return { head, manifest, inline };
  } catch (cause) {
    throw new ClusterError('CHECKPOINT_DAMAGED', 'a section of a checkpoint cannot be read', {
      cause,
    });
  }
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}
