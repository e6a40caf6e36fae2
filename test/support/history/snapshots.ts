import type { ReadEvent } from './event.ts';
import type { Fault } from './judge.ts';
import { told } from './judge.ts';
import { boundOf, isKnown, type WriteIndex } from './write-index.ts';

/** Holds answers with `asOf` against the log and against each other. */
export class Snapshots {
  readonly #index: WriteIndex;
  /** By space and position, what each id was when it was covered first; undefined: absent. */
  readonly #answers = new Map<string, Map<string, number | undefined>>();

  constructor(index: WriteIndex) {
    this.#index = index;
  }

  *check(read: ReadEvent, asOf: string): Generator<Fault> {
    const { space, seen, covers, ended } = read;
    const bound = boundOf(asOf);
    const versions = new Map(seen.map(({ id, version }) => [id, version]));
    for (const [id, version] of versions) {
      const puts = this.#index.puts(version);
      // All of the puts of a version must be beyond, because one before is what was seen.
      if (puts.length > 0 && puts.every((put) => isKnown(put) && put.sequence > bound[put.lane]))
        yield { rule: 'future', detail: `${id}: ${told(puts[0]!)} is shown as of ${asOf}` };
    }
    const ids =
      covers === 'space' ? new Set([...this.#index.ids(space).keys(), ...versions.keys()]) : covers;
    for (const id of ids) {
      const writes = this.#index.of(space, id);
      if (writes.isOvertaken(bound)) continue;
      const version = versions.get(id);
      yield* this.#compare(space, asOf, id, version);
      if (writes.unknown.some(({ begun }) => begun <= ended)) continue;
      const decisive = writes.decisive(bound);
      const expected = decisive?.kind === 'put' ? decisive.version : undefined;
      if (version !== expected)
        yield {
          rule: 'snapshot',
          detail: `${id} as of ${asOf}: version ${version ?? 'none'} instead of ${expected ?? 'none'}`,
        };
    }
  }

  *#compare(
    space: string,
    asOf: string,
    id: string,
    version: number | undefined,
  ): Generator<Fault> {
    const key = `${space} ${asOf}`;
    let answers = this.#answers.get(key);
    if (answers === undefined) {
      answers = new Map<string, number | undefined>();
      this.#answers.set(key, answers);
    }
    if (!answers.has(id)) answers.set(id, version);
    else if (answers.get(id) !== version)
      yield {
        rule: 'unstable',
        detail: `${id} as of ${asOf}: version ${answers.get(id) ?? 'none'}, later ${version ?? 'none'}`,
      };
  }
}
