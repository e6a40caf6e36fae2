import { setTimeout as pause } from 'node:timers/promises';

/**
 * Waits until the condition gives something other than undefined or false.
 * @throws Error that says what was waited for, with the last error of the condition as its cause
 */
export async function until<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 60_000,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  let cause: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== undefined && value !== false) return value;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= end)
      throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause });
    await pause(20);
  }
}
