import { renameSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of the test's own, gone when it is disposed. */
export async function tempDir(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'engram-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Removes a folder that a running process may be writing into: from one moment to the next. */
export function removeAtOnce(folder: string): void {
  const gone = `${folder}.gone`;
  renameSync(folder, gone); // a file that came between would keep the folder from being removed
  rmSync(gone, { recursive: true });
}
