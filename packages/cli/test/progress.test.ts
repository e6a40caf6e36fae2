import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { Progress, whole } from '../src/import/progress.ts';

function screen(isTTY: boolean) {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString();
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY, columns: 100 }), text: () => text };
}

describe('progress', () => {
  test('draws a bar with percent, count, rate and time left on a terminal', async () => {
    const { stream, text } = screen(true);
    let now = 0;
    const progress = new Progress({ total: 1000, stream, now: () => now });
    now = 2_000;
    progress.report(500, 40_000);
    progress.note('line 7 is bad');
    await expect.poll(text, { timeout: 5_000 }).toContain('50 %  40,000  20,000/s  2 s left');
    expect(text()).toContain('line 7 is bad\n');
    progress.stop();
  });

  test.each([true, false])(
    'tells a cluster that acknowledges nothing any more (terminal: %s)',
    async (isTTY) => {
      const { stream, text } = screen(isTTY);
      let now = 0;
      const progress = new Progress({ total: 1000, stream, now: () => now });
      progress.report(500, 40_000);
      now = 42_000;
      const silent = 'nothing is acknowledged for 42 s';
      await expect.poll(text, { timeout: 10_000 }).toContain(silent);
      progress.stop();
    },
  );

  test('leaves no signal listeners behind: the bar must not end the process', () => {
    const before = process.listenerCount('SIGINT');
    const progress = new Progress({ total: 10, stream: screen(true).stream });
    expect(process.listenerCount('SIGINT')).toBe(before);
    progress.stop();
  });

  test('a number is parted into thousands', () => {
    expect(whole(999_997.4)).toBe('999,997');
  });
});
