// The outcome of one call, from the answers to the batches that it became.

import { type AckLevel, type ClusterError, type ItemError } from '@engram/model';
import { errorOfProblem, type AckMessage, type Refused } from '@engram/session';
import { judged } from '../errors.ts';
import type { PutResult } from '../types.ts';
import type { SessionPutOptions } from './options.ts';

const LEVELS: readonly AckLevel[] = ['logged', 'searchable', 'indexed'];

export class Delivery {
  readonly result: Promise<PutResult>;
  #resolve: (result: PutResult) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;
  readonly #onPartial: SessionPutOptions['onPartial'];
  #left: number;
  #accepted = 0;
  #rejected = 0;
  #isTruncated = false;
  readonly #errors: ItemError[] = [];
  #level: AckLevel | undefined;
  #problem: ClusterError | undefined;

  /** @param items observations that are to be answered */
  constructor(items: number, onPartial: SessionPutOptions['onPartial']) {
    this.#left = items;
    this.#onPartial = onPartial;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Who does not wait for it is told by the next call.
    this.result.catch(() => undefined);
  }

  /** A part of it is answered. @param position of all that the session stored */
  answered(
    part: { readonly items: number; readonly offset: number },
    { level }: Pick<AckMessage, 'level'>,
    refused: Refused | undefined,
    position: string | undefined,
  ): void {
    const rejected = refused?.rejected ?? 0;
    this.#left -= part.items;
    this.#accepted += part.items - rejected;
    this.#rejected += rejected;
    for (const error of refused?.errors ?? [])
      this.#errors.push({ ...error, index: error.index + part.offset });
    this.#isTruncated ||= refused?.errorsTruncated ?? false;
    if (refused?.problem !== undefined) this.#problem = errorOfProblem(refused.problem);
    if (this.#level === undefined || LEVELS.indexOf(level) < LEVELS.indexOf(this.#level))
      this.#level = level;
    if (this.#left === 0) this.#finish(position);
  }

  fail(error: unknown): void {
    this.#reject(error);
  }

  #finish(position: string | undefined): void {
    const result: PutResult = {
      accepted: this.#accepted,
      rejected: this.#rejected,
      ...(this.#accepted === 0 || position === undefined ? {} : { position }),
      ...(this.#level === undefined ? {} : { ack: this.#level }),
      errors: this.#errors,
      errorsTruncated: this.#isTruncated,
    };
    try {
      this.#resolve(judged(result, this.#onPartial, this.#problem));
    } catch (error) {
      this.#reject(error);
    }
  }
}
