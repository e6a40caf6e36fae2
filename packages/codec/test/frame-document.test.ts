import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { decodeFrame } from '../src/frame.ts';

test('the Python of FRAME.md writes a frame that we read', () => {
  const document = readFileSync(new URL('../FRAME.md', import.meta.url), 'utf8');
  const code = /```python\n(.*?)```/s.exec(document)?.[1] ?? '';
  const call = 'import sys; sys.stdout.buffer.write(frame([("é", [1, 2, 3]), ("b", [4, 5, 6])]))';
  const bytes = execFileSync('python3', ['-c', `${code}\n${call}`]);
  const frame = decodeFrame(new Uint8Array(bytes));
  expect([frame.id(0), frame.id(1), frame.putCount, frame.deleteCount]).toEqual(['é', 'b', 2, 0]);
  expect([...frame.embeddings]).toEqual([1, 2, 3, 4, 5, 6]);
  expect(frame.metadata(1)).toBeUndefined();
});
