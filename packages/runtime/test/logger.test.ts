import { expect, test } from 'vitest';
import { createLogger } from '../src/logger.ts';

function logged(...args: [object, string]): string {
  const lines: string[] = [];
  createLogger('shard', 's1', 'info', { write: (line) => void lines.push(line) }).warn(...args);
  expect(lines).toHaveLength(1);
  return lines[0]!;
}

/** As ioredis has them. */
function replyError(): Error {
  const error = new Error('WRONGPASS for rediss://member:hidden@redis:6379');
  return Object.assign(error, { command: { name: 'auth', args: ['member', 'hidden'] } });
}

test('an error is logged with its cause and its stack', () => {
  const line = logged({ err: new Error('outer', { cause: new Error('inner') }) }, 'failed');
  expect(JSON.parse(line)).toMatchObject({
    role: 'shard',
    member: 's1',
    msg: 'failed',
    err: { type: 'Error', message: 'outer: inner' },
  });
  expect(line).toContain('logger.test.ts');
});

test.each([
  ['an error', replyError()],
  ['a cause', new Error('outer', { cause: replyError() })],
  ['one of several', new AggregateError([replyError()], 'all failed')],
  ['a cause of one of several', new Error('x', { cause: new AggregateError([replyError()], 'y') })],
  ['a property', Object.assign(new Error('outer'), { inner: replyError() })],
  ['a text', 'cannot reach nats://member:hidden@nats:4222'],
])('a password in %s is not logged', (_where, err) => {
  const line = logged({ err }, 'failed');
  expect(line).not.toContain('hidden');
  expect(line).toMatch(/WRONGPASS|cannot reach|all failed|"x: y/);
});

test('what callers send of themselves and of others is not logged', () => {
  const line = logged(
    {
      headers: { authorization: 'Bearer hidden' },
      item: { embedding: ['hidden'], metadata: { x: 'hidden' } },
      redis: { password: 'hidden' },
    },
    'a mistake',
  );
  expect(line).not.toContain('hidden');
});

test('an error that holds itself is logged all the same', () => {
  const error = new Error('round');
  expect(logged({ err: Object.assign(error, { self: { error } }) }, 'failed')).toContain('round');
});
