import type { Observation } from '@engram/model';
import { oneOf, why } from '../observations.ts';

/** An observation that waits. */
export interface Row {
  readonly observation: Observation;
  /** About what it has in a body. */
  readonly bytes: number;
}

/** What a row has beside its texts and numbers. */
const ROW_BYTES = 32;

/**
 * Copies the embedding, which the caller may use again.
 * @throws TypeError for what is no object, or cannot be JSON
 */
export function rowOf(given: Observation): Row {
  const observation = oneOf(given);
  // From plain JavaScript it may be anything: the cluster says what is wrong.
  const { id, embedding, metadata }: Partial<Observation> = observation;
  const text = metadata === undefined ? '' : metadataText(id, metadata);
  const bytes = ROW_BYTES + String(id).length + text.length + (embedding?.length ?? 0) * 4;
  const isList = Array.isArray(embedding) || embedding instanceof Float32Array;
  const own = isList ? { ...observation, embedding: embedding.slice() } : observation;
  return { observation: own, bytes };
}

function metadataText(id: unknown, metadata: unknown): string {
  try {
    return JSON.stringify(metadata) ?? '';
  } catch (cause) {
    throw new TypeError(
      `the metadata of the observation ${JSON.stringify(String(id))} cannot be written as JSON: ${why(cause)}`,
      { cause },
    );
  }
}

/** Rows that go together; no id stands in it twice, which the cluster would refuse. */
export class Batch {
  readonly rows: Row[] = [];
  readonly #ids = new Set<string>();
  #bytes = 0;
  /** Of all its rows, once it is through. */
  isDone = false;

  get bytes(): number {
    return this.#bytes;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Whether both write the same id, so that their order matters. */
  meets(other: Batch): boolean {
    for (const id of this.#ids) if (other.#ids.has(id)) return true;
    return false;
  }

  add(row: Row): void {
    this.rows.push(row);
    this.#ids.add(row.observation.id);
    this.#bytes += row.bytes;
  }
}
