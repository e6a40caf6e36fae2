import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { importCommand } from '../src/commands/import.ts';
import { fakeCluster, type FakeCluster } from './fake-cluster.ts';
import { runCommand } from './run-command.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'import-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function fileOf(lines: readonly (string | object)[], name = 'corpus.ndjson') {
  const path = join(folder, name);
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
  await writeFile(path, `${text.join('\n')}\n`);
  return path;
}

const observations = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ id: `o${i + 1}`, embedding: [i + 1, 1] }));

const run = (cluster: FakeCluster, path: string, ...args: string[]) =>
  runCommand(importCommand(), ['notes', path, '--url', cluster.url, ...args]);

describe('engram import', () => {
  test('makes the space and writes every line, in batches', async () => {
    await using cluster = await fakeCluster();
    const path = await fileOf(observations(25));
    const ran = await run(cluster, path, '--create', '--batch', '10', '--ack', 'searchable');
    expect(ran).toMatchObject({ code: 0, err: '' });
    expect(ran.out).toMatch(/^✔ 25 accepted {3}\d+(\.\d s| ms) {3}[\d,]+\/s\n$/);
    expect(cluster.spaces.get('notes')).toMatchObject({ dimension: 2, rows: { size: 25 } });
    expect(cluster.batches.map(({ count }) => count).sort()).toEqual([10, 10, 5]);
    expect(cluster.batches[0]?.query).toBe('?ack=searchable');
  });

  test('bad lines are told by number, saved, and never stop the rest', async () => {
    await using cluster = await fakeCluster();
    const lines = [...observations(4), '{oops', { id: 'x', embedding: [1, 2, 3] }, { id: 'z' }];
    const path = await fileOf([...lines, { id: 'last', embedding: [0, 1] }]);
    const ran = await run(cluster, path, '--create', '--json');
    expect(ran.code).toBe(3);
    expect(ran.err).toContain('line 5 INVALID_JSON');
    expect(ran.err).toContain('line 6 DIMENSION_MISMATCH x: wrong length');
    const rejectedFile = `${path}.rejected.ndjson`;
    expect(JSON.parse(ran.out)).toMatchObject({ accepted: 5, rejected: 3, rejectedFile });
    const saved = (await readFile(rejectedFile, 'utf8')).trim().split('\n');
    expect(saved.map((line) => (JSON.parse(line) as { line: number }).line)).toEqual([5, 6, 7]);
    expect(JSON.parse(saved[1] ?? '')).toEqual({
      line: 6,
      id: 'x',
      code: 'DIMENSION_MISMATCH',
      detail: 'wrong length',
      text: '{"id":"x","embedding":[1,2,3]}',
    });
    await run(cluster, await fileOf(observations(1)));
    await expect(access(rejectedFile)).rejects.toThrow('ENOENT');
  });

  test('a refused line without an id is told without one', async () => {
    await using cluster = await fakeCluster();
    const path = await fileOf([...observations(1), { id: '', embedding: [1, 2] }]);
    const ran = await run(cluster, path, '--create');
    expect(ran.err).toContain('line 2 INVALID_ID: empty');
  });

  test('every refused line is found, also when the answer lists only some', async () => {
    await using cluster = await fakeCluster({ listed: 2 });
    const bad = Array.from({ length: 7 }, (_, i) => ({ id: `b${i}`, embedding: [1] }));
    const path = await fileOf([...observations(3), ...bad]);
    const ran = await run(cluster, path, '--create', '--json');
    expect(JSON.parse(ran.out)).toMatchObject({ accepted: 3, rejected: 7 });
  });

  test('a batch that is refused as a whole is halved until only its bad line is left', async () => {
    await using cluster = await fakeCluster({
      onBatch: (ids) => Promise.resolve(ids.includes('o7') ? 413 : undefined),
    });
    const ran = await run(cluster, await fileOf(observations(20)), '--create', '--json');
    expect(ran.code).toBe(3);
    expect(JSON.parse(ran.out)).toMatchObject({ accepted: 19, rejected: 1 });
    expect(ran.err).toContain('line 7 BODY_TOO_LARGE o7:');
  });

  test('no more requests are on their way than asked for', async () => {
    let now = 0;
    let most = 0;
    await using cluster = await fakeCluster({
      onBatch: async () => {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setImmediate(resolve));
        now--;
        return undefined;
      },
    });
    const path = await fileOf(observations(40));
    await run(cluster, path, '--create', '--batch', '2', '--concurrency', '3');
    expect(most).toBeLessThanOrEqual(3);
    expect(cluster.spaces.get('notes')?.rows.size).toBe(40);
  });

  test('an interrupt finishes what is on its way and says where it stopped', async () => {
    const stop = new AbortController();
    await using cluster = await fakeCluster({
      onBatch: (_, nth) => {
        if (nth === 2) stop.abort();
        return Promise.resolve(undefined);
      },
    });
    const path = await fileOf(observations(5_000));
    const args = ['notes', path, '--url', cluster.url, '--create', '--batch', '10'];
    const ran = await runCommand(importCommand(stop.signal), [...args, '--concurrency', '1']);
    expect(ran.code).toBe(1);
    expect(ran.err).toContain('Stopped after line 20: as you asked');
    expect(cluster.spaces.get('notes')?.rows.size).toBe(20);
  });

  test('a failing cluster stops the import at the last settled line', async () => {
    await using cluster = await fakeCluster({
      onBatch: (_, nth) => Promise.resolve(nth === 3 ? 500 : undefined),
    });
    const path = await fileOf(observations(100));
    const ran = await run(
      cluster,
      path,
      '--create',
      '--batch',
      '10',
      '--concurrency',
      '1',
      '--json',
    );
    expect(ran.code).toBe(1);
    const summary = JSON.parse(ran.out) as object;
    expect(summary).toMatchObject({ accepted: 20, stoppedAfterLine: 20 });
    expect(summary).toMatchObject({ failure: 'refused with INTERNAL (INTERNAL)' });
  });

  test('reads CSV by the name of the file', async () => {
    await using cluster = await fakeCluster();
    const path = await fileOf(['id,x,y,topic', 'a,1,2,tea', 'b,3,4,"milk, hot"'], 'corpus.CSV');
    const ran = await run(cluster, path, '--create');
    expect(ran.code).toBe(0);
    expect(ran.err).toBe(
      'The embedding is taken from 2 columns with numbers (x, y); choose others with --embedding-columns\n',
    );
    expect(cluster.spaces.get('notes')?.rows.get('b')).toMatchObject({
      embedding: [3, 4],
      metadata: { topic: 'milk, hot' },
    });
  });

  test('says what to do when there is no space, no file or no cluster', async () => {
    await using cluster = await fakeCluster();
    const path = await fileOf(observations(1));
    const noSpace = await run(cluster, path);
    expect(noSpace.code).toBe(1);
    expect(noSpace.err).toContain('add --create to make it');
    const noFile = await run(cluster, join(folder, 'gone'), '--create');
    expect(noFile).toMatchObject({ code: 1 });
    expect(noFile.err).toContain(`${join(folder, 'gone')} cannot be read: no such file\n`);
    const noText = await run(cluster, folder, '--create');
    expect(noText.err).toContain(`${folder} cannot be read: it is a folder\n`);
    const noCluster = await runCommand(importCommand(), [
      'notes',
      path,
      '--url',
      'http://127.0.0.1:1',
    ]);
    expect(noCluster.err).toContain('http://127.0.0.1:1 cannot be reached; is the cluster up?');
    const noUrl = await runCommand(importCommand(), ['notes', path, '--url', 'nonsense']);
    expect(noUrl).toMatchObject({
      code: 2,
      err: expect.stringContaining('is not a URL') as string,
    });
  });
});
