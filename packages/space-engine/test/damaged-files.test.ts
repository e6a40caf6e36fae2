import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LANES, type ErrorCode } from '@engram/model';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { emptySpace, openSpace, type OpenSpace } from '../src/open-space.ts';
import { clustered, configOf, frameOf, optionsOf } from './frames.ts';
import { expectSame, graph, ids, seal } from './spaces.ts';

// An odd number of odd rows: the column of embeddings is padded.
const DIMENSION = 5;
const vectors = clustered(130, DIMENSION, 41);
const entries = Array.from({ length: 10 }, (_, part) =>
  frameOf(
    vectors.slice(part * 13, part * 13 + 13).map((embedding, i) => ({
      id: part > 0 && i < 3 ? `row ${part * 13 - 9 + i}` : `row ${part * 13 + i}`,
      embedding,
      metadata: { n: part * 13 + i },
    })),
    part > 0 ? [`row ${part * 13 - 5}`] : [],
  ),
);
const all = Array.from({ length: 130 }, (_, i) => `row ${i}`);

const CONFIGS = {
  usearch: configOf({ dimension: DIMENSION, metric: 'l2' }),
  hnswlib: configOf({ dimension: DIMENSION, metric: 'l2', engine: 'hnswlib', quantization: 'f32' }),
  plain: configOf({ dimension: DIMENSION, metric: 'l2' }),
};
type Kind = keyof typeof CONFIGS;
const KINDS = Object.keys(CONFIGS) as Kind[];

const root = join(tmpdir(), `engram-damaged-${process.pid}`);
const saved = (kind: Kind) => join(root, kind);
let run = 0;
let exact: OpenSpace;

function apply({ engine }: OpenSpace, from = 0, to = entries.length): void {
  for (let i = from; i < to; i++)
    expect(engine.apply(entries[i]!, i + 1, LANES[i % 3]!).errors).toEqual([]);
}

beforeAll(async () => {
  mkdirSync(root, { recursive: true });
  for (const kind of KINDS) {
    const options = optionsOf(saved(kind), { graphThreshold: kind === 'plain' ? Infinity : 20 });
    const space = emptySpace(CONFIGS[kind], options);
    apply(space, 0, 5);
    if (kind !== 'plain') await seal(space);
    apply(space, 5);
    space.engine.complete(8);
    graph(space);
    expect(await space.upkeep.unload()).toBe(true);
  }
  exact = emptySpace(CONFIGS.plain, optionsOf(join(root, 'none'), { graphThreshold: Infinity }));
  apply(exact);
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

async function expectAnswers(space: OpenSpace): Promise<void> {
  expectSame(space, exact, all);
  for (const embedding of [vectors[3]!, vectors[77]!]) {
    const right = await exact.engine.recall({ embedding, k: 200 });
    const hits = await space.engine.recall({ embedding, k: 200, ef: 200 });
    expect(ids(hits)).toEqual(ids(right));
    expect(hits.map(({ score }) => score)).toEqual(right.map(({ score }) => score));
  }
}

/** Opens a copy that was tampered with, and replays the log if need be. */
async function openTampered(kind: Kind, tamper: (folder: string) => void) {
  const folder = join(root, `run-${run++}`);
  cpSync(saved(kind), folder, { recursive: true });
  tamper(folder);
  const faults: ErrorCode[] = [];
  const options = optionsOf(folder, {
    graphThreshold: 20,
    onFault: ({ code }) => faults.push(code),
  });
  const space = await openSpace(CONFIGS[kind], options);
  const { isDamaged } = space;
  expect(faults.length > 0).toBe(isDamaged);
  expect(new Set(faults)).toEqual(new Set(isDamaged ? ['SEGMENT_DAMAGED'] : []));
  // Whatever is left is whole: every id can be read, and every row has an answer.
  const { count, completeTo } = space.engine;
  const hits = await space.engine.recall({ embedding: vectors[0]!, k: 200, ef: 200 });
  expect(new Set(ids(hits)).size).toBe(count);
  for (const { id, embedding } of hits) expect(space.engine.get(id)?.embedding).toEqual(embedding);
  if (!isDamaged && completeTo > 0) await expectAnswers(space);
  else expect(completeTo).toBe(0);
  apply(space);
  await expectAnswers(space);
  // And it can be saved and opened as if nothing had happened.
  graph(space);
  expect(await space.upkeep.unload()).toBe(true);
  const again = await openSpace(CONFIGS[kind], options);
  expect(again.isDamaged).toBe(false);
  await expectAnswers(again);
  again.engine.segments.close();
  rmSync(folder, { recursive: true });
  return isDamaged;
}

function files(folder: string): string[] {
  return readdirSync(folder).sort();
}

/** A file of a saved space, and a place in it. */
const place = fc.record({
  kind: fc.constantFrom('usearch' as const, 'plain' as const),
  file: fc.nat(),
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
});

function chosen(folder: string, file: number, at: number) {
  const names = files(folder);
  const path = join(folder, names[file % names.length]!);
  const { size } = statSync(path);
  return { path, offset: Math.floor(at * size), size };
}

test('a file that ends too early is found out, wherever it ends', async () => {
  await fc.assert(
    fc.asyncProperty(place, async ({ kind, file, at }) => {
      const isDamaged = await openTampered(kind, (folder) => {
        const { path, offset } = chosen(folder, file, at);
        writeFileSync(path, readFileSync(path).subarray(0, offset));
      });
      expect(isDamaged).toBe(true);
    }),
    { numRuns: 20 },
  );
});

test('a changed byte is found out, or changes no answer', async () => {
  let found = 0;
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(place, fc.integer({ min: 1, max: 255 }), async ({ kind, file, at }, flip) => {
      runs++;
      const isDamaged = await openTampered(kind, (folder) => {
        const { path, offset } = chosen(folder, file, at);
        const bytes = readFileSync(path);
        bytes[offset]! ^= flip;
        writeFileSync(path, bytes);
      });
      if (isDamaged) found++;
    }),
    { numRuns: 40 },
  );
  // Only the padding between two columns is nobody's.
  expect(found).toBeGreaterThan(runs * 0.9);
});

test('a file of rows with any other header is found out', async () => {
  for (let offset = 0; offset < 64; offset += 5) {
    const isDamaged = await openTampered(offset % 2 === 0 ? 'plain' : 'usearch', (folder) => {
      const path = join(
        folder,
        files(folder).find((name) => name.endsWith('.rows'))!,
      );
      const bytes = readFileSync(path);
      bytes[offset]! ^= 1 + offset;
      writeFileSync(path, bytes);
    });
    expect(isDamaged).toBe(true);
  }
});

test('bytes behind the end of a file are found out', async () => {
  for (const kind of KINDS)
    for (const name of files(saved(kind))) {
      const isDamaged = await openTampered(kind, (folder) => {
        const path = join(folder, name);
        writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from('x')]));
      });
      expect(isDamaged).toBe(true);
    }
});

test('a file that is missing, empty, of another kind, another space or a folder is found out', async () => {
  for (const kind of KINDS)
    for (const name of files(saved(kind))) {
      const other = KINDS.flatMap((each) =>
        files(saved(each))
          .filter((its) => each !== kind && its.split('.')[1] === name.split('.')[1])
          .map((its) => join(saved(each), its)),
      );
      const same = files(saved(kind))
        .filter((its) => its !== name)
        .map((its) => join(saved(kind), its));
      // Two engines keep the same rows in the same bytes.
      const own = readFileSync(join(saved(kind), name));
      const foreign = [...other, ...same].filter((path) => !readFileSync(path).equals(own));
      for (const instead of ['missing', 'folder', 'empty', ...foreign.slice(0, 1)]) {
        const isDamaged = await openTampered(kind, (folder) => {
          const path = join(folder, name);
          rmSync(path);
          if (instead === 'folder') mkdirSync(join(path, 'deep'), { recursive: true });
          else if (instead === 'empty') writeFileSync(path, '');
          else if (instead !== 'missing') cpSync(instead, path);
        });
        // Without its manifest, or with another's, a space has no files, and all comes from the log.
        const isForgotten =
          name === 'manifest' && (instead === 'missing' || instead.endsWith('manifest'));
        if (!isForgotten) expect(isDamaged, `${name} is ${instead}`).toBe(true);
      }
    }
});

test('a manifest that tells another length of its head is found out', async () => {
  for (const length of ['1', '99999999', '-5', 'x']) {
    const isDamaged = await openTampered('usearch', (folder) => {
      const path = join(folder, 'manifest');
      const [line = '', ...rest] = readFileSync(path, 'latin1').split('\n');
      const [version, checksum] = line.split(' ');
      const text = [`${version} ${checksum} ${length}`, ...rest].join('\n');
      writeFileSync(path, text, 'latin1');
    });
    expect(isDamaged, length).toBe(true);
  }
});

test('a manifest of a version that is not known is found out', async () => {
  const isDamaged = await openTampered('usearch', (folder) => {
    const path = join(folder, 'manifest');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/^\d+ /, '9 '));
  });
  expect(isDamaged).toBe(true);
});
