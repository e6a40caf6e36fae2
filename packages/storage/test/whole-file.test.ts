import { expect, test } from 'vitest';
import { writeFully } from '../src/index.ts';

type Write = Parameters<typeof writeFully>[0]['write'];

/** A disk that takes some bytes at a time, until it has no room. */
function disk(room: number, atOnce: number) {
  const taken: number[] = [];
  const write = (bytes: Uint8Array, from: number, length: number, at: number) => {
    const count = Math.min(length, atOnce, room - taken.length);
    if (count === 0) return Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' }));
    expect(at).toBe(taken.length);
    taken.push(...bytes.subarray(from, from + count));
    return Promise.resolve({ bytesWritten: count, buffer: bytes });
  };
  return { taken, file: { write: write as Write } };
}

test('symptom: a disk that was almost full took a part of a file, and nobody noticed', async () => {
  const bytes = Uint8Array.from({ length: 10 }, (_, i) => i);
  const enough = disk(10, 4);
  await writeFully(enough.file, bytes, 0);
  expect(enough.taken).toEqual([...bytes]);
  const short = disk(7, 4);
  await expect(writeFully(short.file, bytes, 0)).rejects.toMatchObject({ code: 'ENOSPC' });
});
