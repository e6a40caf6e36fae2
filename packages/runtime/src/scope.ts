import assert from 'node:assert/strict';

type Release = () => PromiseLike<void> | void;

/** Owns what it started and releases it in reverse order, all of it. Closing twice is one close. */
export class Scope implements AsyncDisposable {
  readonly #releases: { readonly name: string; readonly release: Release }[] = [];
  #closing: Promise<void> | undefined;

  /** Takes a resource over once it has started; the name stands in the error of a failed close. */
  async own<T extends AsyncDisposable>(name: string, start: T | Promise<T>): Promise<T> {
    const resource = await start;
    if (this.#closing !== undefined) {
      await resource[Symbol.asyncDispose]();
      throw new Error(`${name} was started while its scope closes`);
    }
    this.onClose(name, () => resource[Symbol.asyncDispose]());
    return resource;
  }

  onClose(name: string, release: Release): void {
    assert(this.#closing === undefined, `${name} was started while its scope closes`);
    this.#releases.push({ name, release });
  }

  /** @throws AggregateError with every release that failed, after all of them were tried */
  close(): Promise<void> {
    return (this.#closing ??= this.#releaseAll());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #releaseAll(): Promise<void> {
    const errors: unknown[] = [];
    for (const { name, release } of this.#releases.reverse()) {
      try {
        await release();
      } catch (cause) {
        errors.push(new Error(`${name} did not close`, { cause }));
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'scope close failed');
  }
}
