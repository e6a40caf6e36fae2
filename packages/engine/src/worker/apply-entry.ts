import { decodeFrame, encodeBatch, readItems, type BodyKind, type Frame } from '@engram/codec';
import { ClusterError, type ItemError, type SpaceConfig } from '@engram/model';
import type { SpaceEngine } from '@engram/space-engine';
import type { EntryAnswer, EntryTask } from '../protocol.ts';

/**
 * Applies one entry. Whatever an entry does to us, it is answered: what is wrong with it is told.
 * @throws ClusterError SEGMENT_DAMAGED: that is never the entry's fault
 */
export function applyEntry(
  engine: SpaceEngine,
  { config, sequence, lane, kind, bytes }: EntryTask,
  deletesOnly: boolean,
): EntryAnswer {
  const errors: ItemError[] = [];
  let applied = 0;
  let stale = 0;
  let isRefused = false;
  try {
    for (const { frame, indices } of framesOf(kind, bytes, config, errors)) {
      isRefused ||= deletesOnly && frame.putCount > 0;
      const result = engine.apply(frame, sequence, lane, deletesOnly);
      applied += result.applied;
      stale += result.stale;
      for (const error of result.errors)
        errors.push({ ...error, index: indices?.[error.index] ?? error.index });
    }
  } catch (error) {
    const { code, message } = ClusterError.from(error);
    if (code === 'SEGMENT_DAMAGED') throw error;
    // A shard that ended on it would meet it again.
    errors.push({ index: 0, code, detail: code === 'INTERNAL' ? String(error) : message });
  }
  if (isRefused) return { applied, stale: 0, errors: [], isRefused: true };
  return { applied, stale, errors };
}

/** @throws ClusterError when the entry as a whole is refused */
function* framesOf(
  kind: BodyKind,
  bytes: Uint8Array,
  config: SpaceConfig,
  errors: ItemError[],
): Generator<{ readonly frame: Frame; readonly indices?: readonly number[] }> {
  if (kind === 'frame') {
    yield { frame: decodeFrame(bytes) };
    return;
  }
  // The parsers want memory of their own.
  const items = readItems(kind, Uint8Array.from(bytes));
  const batch = encodeBatch(items, {
    dimension: config.dimension,
    metric: config.metric,
    lanePerItem: false,
    frameBytesMax: Number.MAX_SAFE_INTEGER,
  });
  errors.push(...batch.errors);
  const refused = new Set(batch.errors.map(({ index }) => index));
  const indices = items.map((_, index) => index).filter((index) => !refused.has(index));
  for (const frame of batch.frames) yield { frame: decodeFrame(frame.bytes), indices };
}
