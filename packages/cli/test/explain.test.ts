import { readFileSync } from 'node:fs';
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
  expect(typo.err).toContain('the nearest is BACKPRESSURE. ');
  expect((await explain('dimension')).err).toContain('the nearest is DIMENSION_MISMATCH');
  expect((await explain('toString')).code).toBe(2);
});

test('a word that nothing is near to has no nearest code', async () => {
  const { err, code } = await explain('xyzzy');
  expect(code).toBe(2);
  expect(err).toContain('there is no code or cause "xyzzy". All: ');
  expect((await explain('999')).err).toContain(
    'no failure has the HTTP status or the close code 999',
  );
});

test('every cause that README.md lists is explained, with the answer that has it', async () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const rows = readme.matchAll(/^\| (?:(\d{3}) `([A-Z_]+)`)? ?\| (`[a-z`, -]+`) \|/gm);
  let answer = '';
  let count = 0;
  for (const [, status, code, causes] of rows) {
    if (status !== undefined) answer = `${code} (${status})`;
    for (const [, cause] of causes!.matchAll(/`([a-z-]+)`/g)) {
      count++;
      const { out, code: exit } = await explain(cause!);
      expect([cause, exit]).toEqual([cause, 0]);
      expect(out).toContain(`cause of   ${answer}`);
    }
  }
  expect(count).toBe(13);
  for (const written of ['LOG_FULL', 'log_full'])
    expect(JSON.parse((await explain(written, '--json')).out)).not.toHaveProperty('cause');
  expect((await explain('Share')).out).toContain('cause of   BACKPRESSURE (429)');
});

test('an HTTP status and a close code list the codes that have them', async () => {
  const { out, code } = await explain('429');
  expect(code).toBe(0);
  for (const name of ['BACKPRESSURE', 'RATE_LIMITED', 'CREDIT_EXCEEDED'])
    expect(out).toContain(name);
  expect(out).not.toContain('LOG_FULL');
  expect((await explain('1009')).out).toContain('a message is too large');
  expect((await explain('4429')).out).toBe(
    `A session is closed with 4429 for the HTTP status 429:\n${out}`,
  );
});
