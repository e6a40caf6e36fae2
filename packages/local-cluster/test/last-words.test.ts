import { expect, test } from 'vitest';
import { lastWords } from '../src/last-words.ts';

const line = (level: number, message: string, code?: string, hint?: string) =>
  JSON.stringify({ level, err: { message, code, stack: 'at …', hint } });

test('the last reason that a service gave for its end is found among its lines, with its code', () => {
  const lines = [
    line(30, 'it starts', 'STARTING'),
    line(60, 'no room for the log', 'LOG_FULL', 'lower ENGRAM_LOG_BYTES_MAX'),
    line(40, 'goodbye', 'LATE'),
    'at the end something else',
  ];
  expect(lastWords(lines.join('\n'))).toEqual({
    message: 'no room for the log (LOG_FULL)',
    hint: 'lower ENGRAM_LOG_BYTES_MAX',
  });
});

test('a reason without a code is not taken alone: what tells the cause stands beside it', () => {
  expect(lastWords(line(60, 'Connection is closed.'))).toBeUndefined();
});

test.each(['', 'null', '60', '{"level":60}', '{"level":60,"err":{"message":7}}', 'bind: in use'])(
  'other output has none: %s',
  (tail) => expect(lastWords(tail)).toBeUndefined(),
);
