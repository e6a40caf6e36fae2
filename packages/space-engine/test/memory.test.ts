import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { scratchFolder } from './scratch.ts';

const FIXTURES = join(import.meta.dirname, 'fixtures');
const MEBIBYTE = 1024 * 1024;

/**
 * Runs one of the fixtures in a process that gives back what it frees: no young generation to speak
 * of, and no large pieces kept in the allocator.
 */
async function measuredBy<T>(fixture: string, asked: object): Promise<T> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      '--expose-gc',
      '--max-semi-space-size=1',
      '--single-threaded-gc',
      join(FIXTURES, fixture),
      scratchFolder(),
      JSON.stringify(asked),
    ],
    {
      env: {
        ...process.env,
        MALLOC_MMAP_THRESHOLD_: '65536',
        MALLOC_TRIM_THRESHOLD_: '65536',
      },
    },
  );
  return JSON.parse(stdout) as T;
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

for (const [cycles, config] of [
  [12, { engine: 'usearch', quantization: 'i8' }],
  [12, { engine: 'hnswlib', quantization: 'f32' }],
] as const)
  test.runIf(process.platform === 'linux')(
    `lives of a space, one after another, leave neither memory nor open files behind (${config.engine})`,
    async () => {
      const measured = await measuredBy<{ bytes: number; files: number }[]>('cycles.mjs', {
        cycles,
        config: { ...config, efConstruction: 16 },
      });
      const bytes = measured.map((each) => each.bytes);
      const second = median(bytes.slice(cycles / 3, (2 * cycles) / 3));
      const last = median(bytes.slice((2 * cycles) / 3));
      // Four lives of 600 rows and their graphs are some 4 MB; compiled code and the collector's
      // pages move the figure by some 1.5 MB.
      expect(last - second, JSON.stringify(bytes)).toBeLessThan(2.5 * MEBIBYTE);
      expect(new Set(measured.slice(2).map(({ files }) => files)).size).toBe(1);
    },
  );

test.runIf(process.platform === 'linux')(
  'a space says within a tenth how much private memory it takes',
  async () => {
    const measured = await measuredBy<{ stage: string; grown: number; said: number }[]>(
      'footprint.mjs',
      { rows: 60_000, dimension: 128, config: { efConstruction: 16 } },
    );
    const shown = JSON.stringify(measured);
    expect(measured.map(({ stage }) => stage)).toEqual(['rows', 'graph', 'files']);
    for (const { stage, grown, said } of measured)
      if (stage === 'files') expect(Math.abs(said - grown), shown).toBeLessThan(3 * MEBIBYTE);
      else expect(Math.abs(said - grown), shown).toBeLessThan(grown * 0.1);
  },
);
