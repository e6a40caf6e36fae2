// A space's files for somewhere else: the same ones under small numbers, which do not depend on how
// often spaces were opened here. Whoever brings them into an empty folder opens the space from there.

import {
  encodeManifest,
  graphPath,
  rowsPath,
  type Manifest,
  type SegmentEntry,
} from './manifest.ts';
import { damaged } from './rows-file.ts';
import { openVerified, verifyGraph } from './verify-files.ts';

export interface ExportedFile {
  /** In the other folder. */
  readonly name: string;
  /** Where it lies here; it never changes, but may be removed when it is merged into another. */
  readonly path: string;
  /**
   * Reads every byte once: damage that is carried elsewhere would be all that there is.
   * @param at where it lies now
   * @throws ClusterError SEGMENT_DAMAGED
   */
  readonly verify: (at: string, turn: () => Promise<void>) => Promise<void>;
}

export interface SpaceExport {
  /** What the other folder's manifest holds, in parts. */
  readonly manifest: readonly Uint8Array[];
  readonly files: readonly ExportedFile[];
}

export function exportSpace(folder: string, manifest: Manifest): SpaceExport {
  const { dimension } = manifest.config;
  const files: ExportedFile[] = [];
  const segments = manifest.segments.map((segment, i): SegmentEntry => {
    const file = i + 1;
    const { checksum, graph } = segment;
    files.push({
      name: rowsPath('', file),
      path: rowsPath(folder, segment.file),
      verify: async (at, turn) => (await openVerified(at, { dimension, checksum }, turn)).close(),
    });
    if (graph !== undefined)
      files.push({
        name: graphPath('', file),
        path: graphPath(folder, segment.file),
        verify: (at, turn) => verifyGraph(at, graph, turn),
      });
    return { ...segment, file };
  });
  const nextFile = segments.length + 1;
  return { manifest: encodeManifest({ ...manifest, segments, nextFile }), files };
}

/**
 * What can be made of a space without some of its exported files: rows whose graph is lost go back into
 * memory when it is opened, and get another.
 * @param lost names of files
 * @throws ClusterError SEGMENT_DAMAGED where rows are lost
 */
export function withoutLost(manifest: Manifest, lost: readonly string[]): Manifest {
  if (lost.length === 0) return manifest;
  const segments = manifest.segments.map((segment): SegmentEntry => {
    const rows = rowsPath('', segment.file);
    if (lost.includes(rows)) throw damaged(rows, new Error('it is lost'));
    if (!lost.includes(graphPath('', segment.file))) return segment;
    const { graph: _, ...rest } = segment;
    return rest;
  });
  return { ...manifest, segments };
}
