import { describe, expect, test } from 'vitest';
import { jitterMs, withRetries } from '../src/retry.ts';

describe('the pause before a repetition', () => {
  test('is spread from nothing to a ceiling that doubles and ends', () => {
    expect(jitterMs(0, () => 0)).toBe(0);
    expect([0, 1, 2, 3, 40].map((failures) => jitterMs(failures, () => 1))).toEqual([
      100, 200, 400, 800, 5_000,
    ]);
  });

  test('is not taken when the cluster asks for more than a minute', async () => {
    let tries = 0;
    const busy = { status: 429, retryAfterMs: 61_000, body: { code: 'BACKPRESSURE' } };
    const attempt = () => {
      tries++;
      return Promise.resolve(busy);
    };
    expect(await withRetries(attempt, { retries: 5, signal: undefined })).toBe(busy);
    expect(tries).toBe(1);
  });
});
