import { ERRORS } from '@engram/model';
import { expect, test } from 'vitest';
import { explainCommand } from '../src/commands/explain.ts';
import { runCommand } from './run-command.ts';

const explain = (...args: string[]) => runCommand(explainCommand(), args);

test('a code is explained: what happened, whether to repeat, what to do', async () => {
  const { out, code } = await explain('BACKPRESSURE');
  expect(code).toBe(0);
  expect(out).toContain('BACKPRESSURE   The cluster asks for a slower pace');
  expect(out).toMatch(/429\n.*yes, after the time that Retry-After says\n.*batchMax observations/);
  expect((await explain('dimension-mismatch')).out).toMatch(/no, it would be refused again/);
});

test('every code has its sentence, also as JSON', async () => {
  const all = JSON.parse((await explain('--json')).out) as { code: string; advice: string }[];
  expect(all.map(({ code }) => code)).toEqual(Object.keys(ERRORS));
  for (const { advice } of all) expect(advice).toMatch(/^[A-Z].*\.$|: engram [a-z ,]+\.$/);
});

test('an unknown code ends with the nearest ones and exit code 2', async () => {
  const typo = await explain('BACKPRESURE');
  expect(typo).toMatchObject({ code: 2, out: '' });
  expect(typo.err).toMatch(/the nearest are BACKPRESSURE, /);
  expect((await explain('dimension')).err).toContain('the nearest are DIMENSION_MISMATCH');
  expect((await explain('toString')).code).toBe(2);
});
