import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** A folder that goes away with the test. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'engram-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Scripts that stand in for services and supervisors. */
export const FIXTURES = {
  service: fileURLToPath(new URL('./fixtures/service.mjs', import.meta.url)),
  failing: fileURLToPath(new URL('./fixtures/failing.mjs', import.meta.url)),
  silent: fileURLToPath(new URL('./fixtures/silent.mjs', import.meta.url)),
  supervisor: fileURLToPath(new URL('./fixtures/supervisor.mjs', import.meta.url)),
};

export async function until(
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > end)
      throw new Error(`not so within ${deadlineMs} ms: ${condition.toString()}`);
    await pause(20);
  }
}
