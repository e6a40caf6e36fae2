import { open, rm, type FileHandle } from 'node:fs/promises';
import type { Rejection } from './importer.ts';

/**
 * What was refused, one JSON object a line, for the user to mend. It is made with the first
 * refusal; one of an earlier import is taken away, since its line numbers would mislead.
 */
export class RejectedFile {
  readonly path: string;
  #file: FileHandle | undefined;
  /** Batches are answered side by side; a file is written by one at a time. */
  #last: Promise<void> = Promise.resolve();

  private constructor(path: string) {
    this.path = path;
  }

  static async create(path: string): Promise<RejectedFile> {
    await rm(path, { force: true });
    return new RejectedFile(path);
  }

  /** Resolves when it is written, so that a file full of faults does not pile up in memory. */
  add(rejection: Rejection): Promise<void> {
    this.#last = this.#last.then(async () => {
      this.#file ??= await open(this.path, 'w');
      await this.#file.appendFile(`${JSON.stringify(rejection)}\n`);
    });
    return this.#last;
  }

  async close(): Promise<void> {
    await this.#last.finally(() => this.#file?.close());
  }
}
