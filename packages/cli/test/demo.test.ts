import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { runDemo, type DemoResult } from '../src/demo.ts';
import { fakeCluster } from './fake-cluster.ts';
import { runCommand, type Ran } from './run-command.ts';

async function demo(
  url: string,
  options: { json: boolean; words?: number; signal?: AbortSignal },
): Promise<Ran & { result: DemoResult | undefined }> {
  let result: DemoResult | undefined;
  const command = new Command('demo').action(async () => {
    result = await runDemo(url, options);
  });
  return { ...(await runCommand(command, [])), result };
}

describe('the demo', () => {
  test('loads the words once and shows what is near to three of them', async () => {
    await using cluster = await fakeCluster();
    const words = 4_200;
    const first = await demo(cluster.url, { json: false, words });
    expect(first.out).toContain('4,200 words are searchable in the space words');
    expect(first.out).toMatch(/nearest to coffee +tea 0\.77 .* 1\.3 ms/);
    expect(first.out).toMatch(/nearest to guitar +\w+ \d\.\d\d/);
    expect(first.out).toMatch(/nearest to tuesday +wednesday 1\.00/);
    expect(cluster.spaces.get('words')?.rows.size).toBe(words);
    const tea = cluster.spaces.get('words')?.rows.get('tea');
    expect(tea?.metadata).toEqual({ rank: expect.any(Number) as number, length: 3 });

    const writes = cluster.batches.length;
    const second = await demo(cluster.url, { json: true, words });
    expect(cluster.batches).toHaveLength(writes);
    expect(second).toMatchObject({
      out: '',
      result: { space: 'words', words, loaded: false, recalls: [{ word: 'coffee' }, {}, {}] },
    });
  });

  test('counts the words only when the space is served, and so loads them once', async () => {
    await using cluster = await fakeCluster({ degraded: 2 });
    const words = 600;
    const first = await demo(cluster.url, { json: true, words });
    expect(first.result?.loaded).toBe(true);
    const second = await demo(cluster.url, { json: true, words });
    expect(second.result?.loaded).toBe(false);
  });

  test('is one sentence when it cannot work, and silent when it is stopped', async () => {
    await using cluster = await fakeCluster({ onBatch: () => Promise.resolve(500) });
    const failed = await demo(cluster.url, { json: false, words: 600 });
    expect(failed).toMatchObject({ code: 0, out: '' });
    expect(failed.err).toBe('The demo did not work: refused with INTERNAL (INTERNAL)\n');
    await using closed = await fakeCluster({ denied: 401 });
    const denied = await demo(closed.url, { json: false });
    expect(denied).toMatchObject({ code: 0, out: '' });
    expect(denied.err).toMatch(/^The demo is left out: no key was given/);
    const stopped = await demo(cluster.url, { json: false, signal: AbortSignal.abort() });
    expect(stopped).toEqual({ code: 0, out: '', err: '', result: undefined });
  });
});
