import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiKeys, parseGrants } from '@engram/access';
import { expect, onTestFinished, test } from 'vitest';
import { keysCommand } from '../src/commands/keys.ts';
import { spacesCommand } from '../src/commands/spaces.ts';
import { apiKeyOf } from '../src/output.ts';
import { fakeCluster } from './fake-cluster.ts';
import { runCommand } from './run-command.ts';

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'engram-keys-'));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

test('a key is printed once, and its record joins the list, which nobody else may read', async () => {
  const file = join(await folder(), 'keys.json');
  const create = ['create', 'app', '--scope', 'team-*:read', '--scope', 'team-*:write'];
  const { out, err, code } = await runCommand(keysCommand(), [...create, '--file', file]);
  expect(code).toBe(0);
  const key = out.trim();
  expect(err).not.toContain(key);
  const second = await runCommand(keysCommand(), [
    ...['create', 'operator', '--scope', '*:admin'],
    ...['--file', file],
  ]);
  const text = readFileSync(file, 'utf8');
  expect(text).not.toContain(key);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const keys = ApiKeys.parse(text);
  const grants = parseGrants({ 'team-*': ['read', 'write'] });
  expect(keys.find(key)).toEqual({ id: 'app', grants });
  expect(keys.find(second.out.trim())?.id).toBe('operator');
});

test('a second key under one id, or a list that is none, changes nothing', async () => {
  const file = join(await folder(), 'keys.json');
  const create = ['create', 'app', '--scope', 'notes:read', '--file', file];
  await runCommand(keysCommand(), create);
  const before = readFileSync(file, 'utf8');
  const again = await runCommand(keysCommand(), create);
  expect(again).toMatchObject({ code: 1, out: '' });
  expect(again.err).toContain('keys.json already has a key app; choose another id');
  expect(readFileSync(file, 'utf8')).toBe(before);
  writeFileSync(file, 'something else');
  expect((await runCommand(keysCommand(), create)).err).toContain('are not JSON');
  expect(readFileSync(file, 'utf8')).toBe('something else');
});

test('--out puts the key into a file for its owner alone, and overwrites none', async () => {
  const at = await folder();
  const [file, secret] = [join(at, 'keys.json'), join(at, 'app.key')];
  const create = ['--scope', 'notes:read', '--file', file, '--out'];
  const { out, err, code } = await runCommand(keysCommand(), ['create', 'app', ...create, secret]);
  expect([code, out]).toEqual([0, '']);
  expect(err).toContain(`The key is in ${secret}`);
  expect(statSync(secret).mode & 0o777).toBe(0o600);
  const text = readFileSync(secret, 'utf8');
  expect(ApiKeys.parse(readFileSync(file, 'utf8')).find(text.trim())?.id).toBe('app');

  const list = readFileSync(file, 'utf8');
  const again = await runCommand(keysCommand(), ['create', 'other', ...create, secret]);
  expect(again).toMatchObject({ code: 1, out: '' });
  expect(again.err).toContain(`${secret} is there already`);
  expect([readFileSync(secret, 'utf8'), readFileSync(file, 'utf8')]).toEqual([text, list]);

  // A key that no list has would be a file that opens nothing.
  const useless = join(at, 'useless.key');
  expect((await runCommand(keysCommand(), ['create', 'app', ...create, useless])).code).toBe(1);
  expect(existsSync(useless)).toBe(false);
});

test('without a list the record is told beside the key', async () => {
  const { out, err } = await runCommand(keysCommand(), ['create', 'a', '--scope', '*:admin']);
  expect(ApiKeys.parse(`[${err.split('\n').at(-2)}]`).find(out.trim())?.id).toBe('a');
  const wrong = await runCommand(keysCommand(), ['create', 'a_b', '--scope', '*:admin']);
  expect(wrong).toMatchObject({ code: 2, out: '' });
});

test('commands send the key of a file, and say so when it cannot be read', async () => {
  const file = join(await folder(), 'app.key');
  writeFileSync(file, 'engram_app_secret\n', { mode: 0o600 });
  expect(apiKeyOf({ apiKeyFile: file })).toBe('engram_app_secret');
  await using cluster = await fakeCluster();
  const list = ['list', '--url', cluster.url];
  await runCommand(spacesCommand(), [...list, '--api-key-file', file]);
  expect(cluster.authorizations).toEqual(['Bearer engram_app_secret']);
  const gone = await runCommand(spacesCommand(), [...list, '--api-key-file', `${file}.gone`]);
  expect(gone).toMatchObject({ code: 2, out: '' });
  expect(gone.err).toContain('the API key cannot be read');
});
