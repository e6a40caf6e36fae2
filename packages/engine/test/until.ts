import { setTimeout as pause } from 'node:timers/promises';

/** Waits until a condition holds. @throws Error that says what was waited for */
export async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  deadlineMs = 30_000,
) {
  const end = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() >= end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await pause(2);
  }
}
