import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mintApiKey, parseGrants } from '@engram/access';
import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { expect, onTestFinished, test, vi } from 'vitest';
import { KeyFile } from '../src/auth/key-file.ts';

const grants = parseGrants({ notes: ['read'] });
const logger = createLogger('test', 'test', 'silent');
const hurried = {
  ...systemClock,
  sleep: (_ms: number, signal?: AbortSignal) => systemClock.sleep(5, signal),
};

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'engram-keys-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, 'keys.json');
}

test('a key that joins the file is let in, and one that leaves it is not, with no restart', async () => {
  const path = await scratch();
  const one = mintApiKey('one', grants);
  const two = mintApiKey('two', grants);
  const given = mintApiKey('given', grants);
  await writeFile(path, JSON.stringify([one.record]));
  await using keys = await KeyFile.start({
    path,
    given: JSON.stringify([given.record]),
    clock: hurried,
    logger,
  });
  expect(keys.current.find(one.key)?.id).toBe('one');
  expect(keys.current.find(two.key)).toBeUndefined();
  await writeFile(`${path}.next`, JSON.stringify([two.record]));
  await rename(`${path}.next`, path);
  await vi.waitFor(() => expect(keys.current.find(two.key)?.id).toBe('two'), 10_000);
  expect(keys.current.find(one.key)).toBeUndefined();
  expect(keys.current.find(given.key)?.id).toBe('given');
});

test('a file that is spoiled or gone for a while locks nobody out, and is said once', async () => {
  const path = await scratch();
  const one = mintApiKey('one', grants);
  const two = mintApiKey('two', grants);
  await writeFile(path, JSON.stringify([one.record]));
  const said = vi.fn();
  const telling = Object.assign(Object.create(logger) as typeof logger, { error: said });
  await using keys = await KeyFile.start({
    path,
    given: undefined,
    clock: hurried,
    logger: telling,
  });
  await writeFile(path, '[{"id": "half');
  await vi.waitFor(() => expect(said).toHaveBeenCalled(), 10_000);
  await rm(path);
  expect(keys.current.find(one.key)?.id).toBe('one');
  await writeFile(path, JSON.stringify([two.record]));
  await vi.waitFor(() => expect(keys.current.find(two.key)?.id).toBe('two'), 10_000);
  expect(keys.current.find(one.key)).toBeUndefined();
  expect(said).toHaveBeenCalledOnce();
});

test('a gateway does not start with a file that it cannot read', async () => {
  const path = await scratch();
  await expect(KeyFile.start({ path, given: undefined, clock: hurried, logger })).rejects.toThrow(
    'ENOENT',
  );
});

test('who came with a key is valid as long as the key is there, with the same scopes', async () => {
  const path = await scratch();
  const one = mintApiKey('one', grants);
  const two = mintApiKey('two', grants);
  const write = async (records: readonly object[]) => {
    await writeFile(`${path}.next`, JSON.stringify(records));
    await rename(`${path}.next`, path);
  };
  await write([one.record, two.record]);
  await using keys = await KeyFile.start({ path, given: undefined, clock: hurried, logger });
  const [first, second] = [keys.principalOf(one.key)!, keys.principalOf(two.key)!];
  expect([first.isValid(), second.isValid()]).toEqual([true, true]);
  await write([{ ...one.record, scopes: { notes: ['write'] } }, two.record]);
  await vi.waitFor(() => expect(first.isValid()).toBe(false), 10_000);
  expect(second.isValid()).toBe(true);
  await write([one.record]);
  await vi.waitFor(() => expect(second.isValid()).toBe(false), 10_000);
  expect(first.isValid()).toBe(false); // what was taken back once is asked for anew
});
