import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  endLeftovers,
  parseClusterState,
  readClusterState,
  statePath,
  writeClusterState,
  type ClusterState,
} from '../src/cluster-state.ts';
import { FileLock } from '../src/file-lock.ts';
import {
  identityOf,
  isRunning,
  ownIdentity,
  signalIdentity,
} from '@engram/runtime/process-identity';
import { scratch } from './scratch.ts';

/** A process that does nothing until it is ended. */
async function sleeper() {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(child, 'spawn');
  onTestFinished(() => void child.kill('SIGKILL'));
  const identity = identityOf(child.pid ?? 0);
  if (identity === undefined) throw new Error('the sleeper has no identity');
  return { child, identity };
}

function stateWith(members: ClusterState['members']): ClusterState {
  return { supervisor: ownIdentity(), since: '2026-01-01T00:00:00Z', partitionCount: 64, members };
}

test('a state is read back as it was written, and no draft stays behind', () => {
  const folder = scratch();
  const member = { id: 'nats', role: 'nats', ...ownIdentity(), port: 1, url: 'nats://x' } as const;
  const state = stateWith([member]);
  writeClusterState(folder, state);
  expect(readClusterState(folder)).toEqual(state);
  expect(readdirSync(folder)).toEqual(['cluster.json']);
});

test('a file that is not a state is no state', () => {
  const folder = scratch();
  expect(readClusterState(folder)).toBeUndefined();
  writeFileSync(statePath(folder), '{"supervisor":');
  expect(readClusterState(folder)).toBeUndefined();
  for (const text of ['null', '[]', '{"supervisor":{"pid":"1"}}', '{}'])
    expect(parseClusterState(text)).toBeUndefined();
});

test('leftovers of a killed supervisor are ended', async () => {
  const folder = scratch();
  const { child, identity } = await sleeper();
  const exited = once(child, 'exit');
  writeClusterState(folder, stateWith([{ id: 'shard-1', role: 'shard', ...identity }]));
  expect((await endLeftovers(folder)).map(({ id }) => id)).toEqual(['shard-1']);
  await exited;
  expect(isRunning(identity)).toBe(false);
});

test('a process that only got the pid of a leftover is not touched', async () => {
  const folder = scratch();
  const { identity } = await sleeper();
  const earlier = { pid: identity.pid, startedAt: `${identity.startedAt}0` };
  writeClusterState(folder, stateWith([{ id: 'shard-1', role: 'shard', ...earlier }]));
  expect(await endLeftovers(folder)).toEqual([]);
  expect(signalIdentity(earlier, 'SIGKILL')).toBe(false);
  expect(isRunning(identity)).toBe(true);
});

test('pids that no child can have are never looked up', () => {
  for (const pid of [0, 1, -1, 1.5, Number.NaN]) expect(identityOf(pid)).toBeUndefined();
});

test('a lock has one holder, says who it is, and can be taken after its release', () => {
  const path = join(scratch(), 'cluster.lock');
  const lock = FileLock.tryAcquire(path);
  expect(lock).toBeInstanceOf(FileLock);
  expect(FileLock.tryAcquire(path)).toEqual(ownIdentity());
  (lock as FileLock).release();
  expect(FileLock.tryAcquire(path)).toBeInstanceOf(FileLock);
});

test('the lock of a process that died is taken over, and its release does not free the new one', async () => {
  const path = join(scratch(), 'cluster.lock');
  const { child, identity } = await sleeper();
  writeFileSync(path, JSON.stringify(identity));
  expect(FileLock.tryAcquire(path)).toEqual(identity);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  const first = FileLock.tryAcquire(path) as FileLock;
  writeFileSync(path, JSON.stringify({ ...ownIdentity(), nonce: 'another' }));
  first.release();
  expect(FileLock.tryAcquire(path)).toEqual(ownIdentity());
});
