// One space's share of a checkpoint: its manifest, the small ones of its files, and the names under which
// the large ones are stored.
//
//   u32, little-endian   length of the head
//   head                 JSON: SectionHead
//   then                 the bytes of the files that have no blob, in order

import { ClusterError, type SpaceConfig } from '@engram/model';
import { writeWhole } from './whole-file.ts';

export interface SectionFile {
  /** In the space's folder. */
  readonly name: string;
  readonly bytes: number;
  /** Where it is stored; without one its bytes stand in the section. */
  readonly blob?: string;
}

export interface SectionHead {
  readonly config: SpaceConfig;
  /** As it stands in the space's folder. */
  readonly manifest: string;
  readonly files: readonly SectionFile[];
}

/**
 * Writes a section; complete under its name or not there.
 * @param inline the bytes of each file without a blob, in order
 */
export async function writeSection(
  path: string,
  head: SectionHead,
  inline: readonly Uint8Array[],
): Promise<number> {
  const text = Buffer.from(JSON.stringify(head), 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  const bytes = Buffer.concat([length, text, ...inline]);
  await writeWhole(path, (file) => file.writeFile(bytes));
  return bytes.length;
}

/** @throws ClusterError CHECKPOINT_DAMAGED */
export function decodeSection(bytes: Buffer): {
  readonly head: SectionHead;
  readonly inline: ReadonlyMap<string, Uint8Array>;
} {
  try {
    const end = 4 + bytes.readUInt32LE(0);
    const head = JSON.parse(bytes.toString('utf8', 4, end)) as SectionHead;
    const inline = new Map<string, Uint8Array>();
    let at = end;
    for (const { name, bytes: length, blob } of head.files) {
      if (blob !== undefined) continue;
      inline.set(name, bytes.subarray(at, at + length));
      at += length;
    }
    if (at !== bytes.length) throw new Error('it has another length');
    return { head, inline };
  } catch (cause) {
    throw new ClusterError('CHECKPOINT_DAMAGED', 'a section of a checkpoint cannot be read', {
      cause,
    });
  }
}
