import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { identityOf } from '@engram/runtime/process-identity';
import { expect, test } from 'vitest';
import { decodeHost, isDead, ownProcess, type HostProcess } from '../src/predecessor.ts';

test.runIf(process.platform === 'linux')('dead is only who was seen to be', async () => {
  const own = ownProcess()!;
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const other: HostProcess = { ...own, ...identityOf(child.pid!)! };
  expect([isDead(own), isDead(other)]).toEqual([false, false]);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  expect(isDead(other)).toBe(true);
  // Its pid was given to another, which is this very process.
  expect(isDead({ ...other, pid: own.pid })).toBe(true);
  // Of another container, another boot, or nobody knows.
  expect(isDead({ ...other, pids: 'pid:[1]' })).toBe(false);
  expect(isDead({ ...other, startedAt: `0${other.startedAt}` })).toBe(false);
  expect(isDead({ ...other, startedAt: 'unknown' })).toBe(false);
});

test.each([
  [undefined],
  [null],
  ['x'],
  [{}],
  [{ pids: 'a', pid: 1, startedAt: 'b' }],
  [{ pids: 'a', pid: '2', startedAt: 'b' }],
  [{ pids: 7, pid: 2, startedAt: 'b' }],
  [{ pids: 'a', pid: 2.5, startedAt: 'b' }],
  [{ pids: 'a', pid: 2 }],
])('%j is no process', (value) => {
  expect(decodeHost(value)).toBeUndefined();
});

test('what a member says of its process is understood', () => {
  const process = { pids: 'pid:[4026531836]', pid: 4711, startedAt: 'boot/123' };
  expect(decodeHost(JSON.parse(JSON.stringify(process)))).toEqual(process);
});
