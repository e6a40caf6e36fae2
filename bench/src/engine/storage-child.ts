// A process of its own for what one process must show: memory, and opening files that another one left.
//
//   storage-child.js memory ROWS          RSS for each observation, sealed and searchable
//   storage-child.js spaces COUNT         RSS for each of many small spaces, in memory and in files
//   storage-child.js write ROWS FOLDER    a space of sealed files
//   storage-child.js reopen ROWS FOLDER   time until its first answer, in a new process

import { setTimeout as pause } from 'node:timers/promises';
import { decodeFrame, encodeFrame } from '@engram/codec';
import { emptySpace, ENGINE_DEFAULTS, openSpace, UNHURRIED } from '@engram/space-engine';
import { onEngine, spaceOf } from './fixture.ts';

export const STORAGE_DIMENSION = 768;
const BATCH = 100;
const SPACE = spaceOf('stored', STORAGE_DIMENSION);

/** What a child tells its parent. */
export interface StorageAnswer {
  readonly [name: string]: number;
}

/** Rows that follow from their number; clustered, each made when it is needed. */
function frameAt(first: number): Uint8Array {
  const embeddings = new Float32Array(BATCH * STORAGE_DIMENSION);
  for (let row = 0; row < BATCH; row++) embeddings.set(rowAt(first + row), row * STORAGE_DIMENSION);
  return encodeFrame({
    dimension: STORAGE_DIMENSION,
    ids: Array.from({ length: BATCH }, (_, i) => `row-${first + i}`),
    deletes: [],
    embeddings,
    timestamps: Array.from({ length: BATCH }, (_, i) => 1_700_000_000_000 + first + i),
    metadata: Array.from({ length: BATCH }, (_, i) => `{"lang":"en","rank":${first + i}}`),
  });
}

function rowAt(number: number): Float32Array {
  let state = number;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const centre = number % 200;
  return Float32Array.from(
    { length: STORAGE_DIMENSION },
    (_, i) => Math.sin(centre * 12.9898 + i * 78.233) + random() + random() + random() - 1.5,
  );
}

async function memory(rows: number): Promise<StorageAnswer> {
  return onEngine(2, async ({ engine, apply }) => {
    // Code is compiled and thread heaps have their size before the count begins.
    await apply(spaceOf('warm', STORAGE_DIMENSION), [{ bytes: frameAt(0), rows: BATCH }]);
    globalThis.gc?.();
    const before = await engine.refresh();
    for (let row = 0; row < rows; row += BATCH)
      await apply(SPACE, [{ bytes: frameAt(row), rows: BATCH }]);
    await engine.indexed(SPACE);
    await settledSegments(engine, rows);
    // Every page of every graph is in use once so many recalls have gone all ways.
    for (let i = 0; i < 500; i++)
      await engine.recall({
        config: SPACE,
        embedding: rowAt((i * 7_919) % rows),
        k: 10,
        include: [],
      });
    globalThis.gc?.();
    const after = await engine.refresh();
    const { components } = after;
    const { runtime, heaps, buffers, graphs } = components;
    const grown = after.privateBytes - before.privateBytes;
    const mapped = after.rssBytes - after.privateBytes - (before.rssBytes - before.privateBytes);
    return {
      rows,
      ...components,
      privateBytes: after.privateBytes,
      grownBytes: grown,
      mappedBytes: mapped,
      bytesEach: (grown + mapped) / rows,
      countedBytes: runtime + heaps + buffers + graphs,
      countedMapped: after.mappedBytes,
      spaceBytes: after.bytes,
      segments: after.segments,
    };
  });
}

const SMALL_DIMENSION = 8;
const SMALL_ROWS = 3;
const QUICK_COUNT = 2_000;

async function spaces(count: number): Promise<StorageAnswer> {
  return onEngine(
    2,
    async ({ engine, apply }) => {
      const frame = encodeFrame({
        dimension: SMALL_DIMENSION,
        ids: ['a', 'b', 'c'],
        deletes: [],
        embeddings: Float32Array.from(
          { length: SMALL_ROWS * SMALL_DIMENSION },
          (_, i) => Math.sin(i) + 2,
        ),
        timestamps: [NaN, NaN, NaN],
        metadata: ['{"n":1}', '{"n":2}', '{"n":3}'],
      });
      const fill = async (prefix: string, many: number) => {
        for (let n = 0; n < many; n += 500)
          await Promise.all(
            Array.from({ length: Math.min(500, many - n) }, (_, i) =>
              apply(spaceOf(`${prefix}-${n + i}`, SMALL_DIMENSION), [
                { bytes: frame, rows: SMALL_ROWS },
              ]),
            ),
          );
      };
      await fill('warm', 200);
      globalThis.gc?.();
      const before = await engine.refresh();
      await fill('small', count);
      globalThis.gc?.();
      const loaded = await engine.refresh();
      for (;;) {
        const { unloaded } = await engine.refresh();
        if (unloaded >= count + 200) break;
        await pause(250);
      }
      await pause(1_000);
      globalThis.gc?.();
      const idle = await engine.refresh();
      return {
        count,
        loadedBytesEach: (loaded.privateBytes - before.privateBytes) / count,
        idleBytesEach: (idle.privateBytes - before.privateBytes) / count,
      };
    },
    // Longer than it takes to fill them.
    { idleUnloadMs: count > QUICK_COUNT ? 60_000 : 12_000 },
  );
}

/** Until everything that is full is in files, and merged. */
async function settledSegments(
  engine: Parameters<Parameters<typeof onEngine>[1]>[0]['engine'],
  rows: number,
): Promise<void> {
  for (let last = -1; ;) {
    const { bytes, graphBytes, observations } = await engine.refresh();
    if (observations >= rows && bytes + graphBytes === last) return;
    last = bytes + graphBytes;
    await pause(1_000);
  }
}

async function write(rows: number, folder: string): Promise<StorageAnswer> {
  const options = { ...ENGINE_DEFAULTS, folder, pace: UNHURRIED, onFault: fail };
  const { engine, upkeep } = emptySpace(SPACE, options);
  for (let row = 0; row < rows; row += BATCH) {
    engine.apply(decodeFrame(frameAt(row)), row + 1, 'normal');
    upkeep.roll();
    upkeep.buildGraph(() => false);
    while (await upkeep.tend()) continue;
  }
  if (!(await upkeep.unload())) throw new Error('the space was not written');
  return { rows };
}

async function reopen(rows: number, folder: string): Promise<StorageAnswer> {
  const options = { ...ENGINE_DEFAULTS, folder, pace: UNHURRIED, onFault: fail };
  const wanted = Math.floor(rows / 3);
  const embedding = rowAt(wanted);
  const startedAt = performance.now();
  const { engine } = await openSpace(SPACE, options);
  const openedAt = performance.now();
  const [hit] = await engine.recall({ embedding, k: 1 });
  const answeredAt = performance.now();
  if (hit?.id !== `row-${wanted}` || engine.count !== rows) throw new Error('the answer is wrong');
  return {
    rows,
    openMs: openedAt - startedAt,
    firstAnswerMs: answeredAt - startedAt,
    sinceProcessStartMs: answeredAt,
  };
}

function fail(error: Error): never {
  throw error;
}

const [mode, count = '100000', folder = ''] = process.argv.slice(2);
const rows = Number(count);
const answer =
  mode === 'memory'
    ? await memory(rows)
    : mode === 'spaces'
      ? await spaces(rows)
      : mode === 'write'
        ? await write(rows, folder)
        : await reopen(rows, folder);
process.stdout.write(`${JSON.stringify(answer)}\n`);
