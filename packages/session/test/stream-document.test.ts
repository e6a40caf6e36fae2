import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { decodeClientMessage, decodeServerMessage } from '../src/codec.ts';

const document = readFileSync(new URL('../STREAM.md', import.meta.url), 'utf8');
const blocks = [...document.matchAll(/```\n(.*?)```/gs)].map((match) => match[1]!);

/** The messages of one side; a line that goes on begins with two spaces. */
function messages(mark: '→' | '←'): string[] {
  return blocks
    .flatMap((block) => block.split('\n'))
    .reduce<string[]>((all, line) => {
      if (line.startsWith(`${mark} {`)) return [...all, line.slice(2)];
      if (line.startsWith(`${mark}  `)) return [...all.slice(0, -1), all.at(-1)! + line.slice(2)];
      return all;
    }, []);
}

test('what STREAM.md shows of a client is what a server reads', () => {
  const types = messages('→').map((text) => {
    // The names of sessions are cut in the document.
    return decodeClientMessage('json', Buffer.from(text.replace('…', ''))).type;
  });
  expect(new Set(types)).toEqual(new Set(['open', 'batch', 'recall', 'pause', 'resume', 'cancel']));
});

test('what STREAM.md shows of a server is JSON, of types that its table explains', () => {
  const types = messages('←').map((text) => decodeServerMessage(text).type);
  expect(types.length).toBeGreaterThan(4);
  for (const type of types) expect(document).toContain(`| \`${type}\` |`);
});
