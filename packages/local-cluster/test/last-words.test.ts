import { expect, test } from 'vitest';
import { lastWords } from '../src/last-words.ts';

const line = (level: number, message: string, hint?: string) =>
  JSON.stringify({ level, err: { message, stack: 'at …', hint } });

test('the last reason that a service gave for its end is found among its lines', () => {
  const lines = [
    line(30, 'it starts'),
    line(60, 'no room for the log', 'lower ENGRAM_LOG_BYTES_MAX'),
    line(40, 'goodbye'),
    'at the end something else',
  ];
  expect(lastWords(lines.join('\n'))).toEqual({
    message: 'no room for the log',
    hint: 'lower ENGRAM_LOG_BYTES_MAX',
  });
});

test.each(['', 'null', '60', '{"level":60}', '{"level":60,"err":{"message":7}}', 'bind: in use'])(
  'other output has none: %s',
  (tail) => expect(lastWords(tail)).toBeUndefined(),
);
