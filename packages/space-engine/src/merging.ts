// Merging sealed segments: which, and how the result takes their place. The work itself is anybody's.

import type { GraphOptions } from '@engram/vector-index';
import { Deaths } from './deaths.ts';
import { graphPath, rowsPath } from './manifest.ts';
import { planMerge } from './merge-plan.ts';
import type { SealedSegment } from './sealed-segment.ts';
import {
  keptCount,
  newRows,
  type BuildInput,
  type BuildJob,
  type BuildResult,
} from './segment-build.ts';
import type { SpaceEngine } from './space-engine.ts';
import type { SpaceFiles } from './space-files.ts';

export interface Merge {
  readonly job: BuildJob;
  /** Its inputs, in order. */
  readonly segments: readonly SealedSegment[];
}

export class Merging {
  readonly #engine: SpaceEngine;
  readonly #files: SpaceFiles;

  constructor(engine: SpaceEngine, files: SpaceFiles) {
    this.#engine = engine;
    this.#files = files;
  }

  /** The next merge, of segments that are not in another one. */
  plan(busy: ReadonlySet<SealedSegment>, graph: GraphOptions): Merge | undefined {
    const { segments, retention, options, config } = this.#engine;
    const candidates = segments.sealed
      .filter((segment) => !busy.has(segment))
      .map((segment) => ({
        segment,
        number: segment.number,
        bytes: segment.file.bytes,
        rows: segment.rows,
        removable: retention.countRemovable(segment.deaths),
      }));
    this.#dropDead(candidates);
    const plan = planMerge(
      candidates.filter(({ removable, rows }) => removable < rows),
      options,
    );
    if (plan === undefined) return undefined;
    const chosen = candidates.filter((candidate) => plan.includes(candidate)).map((c) => c.segment);
    const file = this.#files.take();
    const job: BuildJob = {
      id: file,
      space: config.space,
      options: graph,
      inputs: chosen.map((segment) => ({
        path: segment.file.path,
        rows: segment.rows,
        checksum: segment.file.checksum,
        kept: keptBits(segment, (death) => !retention.isRemovable(death)),
      })),
      rowsPath: rowsPath(options.folder, file),
      graphPath: graphPath(options.folder, file),
    };
    return { job, segments: chosen };
  }

  /** Segments of which every row is removable need no merge. */
  #dropDead(
    candidates: readonly { segment: SealedSegment; rows: number; removable: number }[],
  ): void {
    const { segments, retention } = this.#engine;
    for (const { segment, rows, removable } of candidates) {
      if (removable < rows) continue;
      retention.removedOf(segment.deaths);
      segments.remove([segment]);
      this.#files.forget(segment);
    }
  }

  /** Puts the merged segment in the place of its inputs, with what died of them meanwhile. */
  take({ job, segments: inputs }: Merge, result: BuildResult): void {
    const { segments, ids, retention } = this.#engine;
    const deaths = new Deaths();
    const moves = new Map<number, Uint32Array>();
    let first = 0;
    for (const [i, input] of job.inputs.entries()) {
      const rows = newRows(input, first);
      moves.set(inputs[i]!.number, rows);
      first += keptCount(input);
      inputs[i]!.deaths.forEach((row, stamp) => {
        if (isKept(input, row)) deaths.kill(rows[row]!, stamp);
        else retention.removed(stamp);
      });
    }
    const oldest = Math.min(...inputs.map((segment) => segment.oldest));
    const number = segments.freeNumber();
    const sealed = this.#files.open(number, job.id, result.rows, result.graph, deaths, oldest);
    ids.relocate((segment, row) => {
      const rows = moves.get(segment);
      return rows === undefined ? undefined : { segment: number, row: rows[row]! };
    });
    segments.remove(inputs);
    segments.addSealed(sealed);
    for (const input of inputs) this.#files.forget(input);
  }
}

/** Whether a merge keeps a row of an input. */
function isKept({ kept }: BuildInput, row: number): boolean {
  return kept === undefined || (kept[row >> 3]! & (1 << (row & 7))) !== 0;
}

function keptBits(segment: SealedSegment, isKeptDeath: (death: number) => boolean): Uint8Array {
  const bits = new Uint8Array((segment.rows + 7) >> 3);
  for (let row = 0; row < segment.rows; row++) {
    const death = segment.deaths.at(row);
    if (death === 0 || isKeptDeath(death)) bits[row >> 3]! |= 1 << (row & 7);
  }
  return bits;
}
