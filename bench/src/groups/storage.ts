// What an observation takes of memory, and how soon a sealed space answers after a restart.

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MALLOC_ENVIRONMENT } from '@engram/local-cluster';
import type { StorageAnswer } from '../engine/storage-child.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, formatRatio, formatSpread } from '../samples.ts';

const ROWS = 100_000;
const SPACES = 10_000;
const CHILD = fileURLToPath(new URL('../engine/storage-child.js', import.meta.url));
const MIB = 2 ** 20;

export const storage: Group = {
  name: 'storage',
  title: 'memory for each observation, and reopening sealed files',
  run,
};

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, progress, repetitions } = context;
  const rows = isQuick ? ROWS / 5 : ROWS;
  const memory: StorageAnswer[] = [];
  const reopened: StorageAnswer[] = [];
  let spaces: StorageAnswer;
  const folder = await mkdtemp(join(tmpdir(), 'engram-bench-storage-'));
  try {
    for (let index = 0; index < repetitions; index++) {
      progress(`memory of ${rows} rows, repetition ${index + 1} of ${repetitions}`);
      memory.push(await child(context, 'memory', rows));
    }
    const count = isQuick ? SPACES / 5 : SPACES;
    progress(`${count} small spaces`);
    spaces = await child(context, 'spaces', count);
    progress(`writing ${rows} rows to files`);
    await child(context, 'write', rows, folder);
    for (let index = 0; index < repetitions; index++) {
      progress(`reopening, repetition ${index + 1} of ${repetitions}`);
      reopened.push(await child(context, 'reopen', rows, folder));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return report(rows, memory, spaces, reopened);
}

async function child(
  { signal }: GroupContext,
  ...args: readonly (string | number)[]
): Promise<StorageAnswer> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--expose-gc', CHILD, ...args.map(String)],
    // As `engram up` and the images start shards.
    { signal, env: { ...process.env, ...MALLOC_ENVIRONMENT.shard } },
  );
  return JSON.parse(stdout) as StorageAnswer;
}

function report(
  rows: number,
  memory: readonly StorageAnswer[],
  spaces: StorageAnswer,
  reopened: readonly StorageAnswer[],
): GroupReport {
  const of = (samples: readonly StorageAnswer[], name: string, format: (v: number) => string) =>
    formatSpread(
      samples.map((sample) => sample[name]!),
      format,
    );
  const mib = (bytes: number) => (bytes / MIB).toFixed(0);
  return {
    tables: [
      {
        title: `${rows} observations of 768 dimensions, id and metadata, default space, all in graphs`,
        head: [
          'private MiB grown',
          'mapped MiB grown',
          'bytes each, all included',
          'private memory, counted / resident',
          'goal',
        ],
        rows: [
          [
            of(memory, 'grownBytes', mib),
            of(memory, 'mappedBytes', mib),
            of(memory, 'bytesEach', (v) => v.toFixed(0)),
            formatSpread(
              memory.map((sample) => sample['countedBytes']! / sample['privateBytes']!),
              formatRatio,
            ),
            '2,200 bytes; 0.9–1.1',
          ],
        ],
      },
      {
        title: `${spaces['count']} spaces of 3 observations of 8 dimensions`,
        head: ['private bytes each, in memory', 'each, all unloaded into files'],
        rows: [[spaces['loadedBytesEach']!.toFixed(0), spaces['idleBytesEach']!.toFixed(0)]],
      },
      {
        title: `${rows} sealed observations of 768 dimensions, opened by a new process`,
        head: ['opened, every byte checked, ms', 'first right answer, ms', 'goal'],
        rows: [
          [of(reopened, 'openMs', formatMs), of(reopened, 'firstAnswerMs', formatMs), '1,000'],
        ],
      },
    ],
    notes: [
      'private: RssAnon and RssShmem of /proc/self/status, grown since the engine was started and warm; counted: runtime, heaps, buffers and graphs',
      'what unloaded spaces leave is mostly heap that V8 keeps for later',
      'mapped: RssFile, pages of graph files that the kernel takes back when memory is short',
      'stored embeddings are read from files, so the page cache may hold them too; that is not counted',
    ],
    figures: [
      {
        name: 'bytes for an observation, all included',
        unit: 'bytes',
        better: 'lower',
        samples: memory.map(({ bytesEach }) => bytesEach!),
      },
      {
        name: 'until the first right answer',
        unit: 'ms',
        better: 'lower',
        samples: reopened.map(({ firstAnswerMs }) => firstAnswerMs!),
      },
    ],
    data: { rows, memory, spaces, reopened },
  };
}
