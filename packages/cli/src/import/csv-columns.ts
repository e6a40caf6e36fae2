import { ClusterError, type Observation } from '@engram/model';
import type { Fault } from './lines.ts';

export interface CsvColumnOptions {
  /** Header of the column with the ids. */
  readonly idColumn: string;
  /** Headers of the embedding's columns in order; one that ends in `*` stands for several. */
  readonly embeddingColumns?: readonly string[] | undefined;
  /** Of the space, when it is known: a guess at the columns that does not fit is no guess. */
  readonly dimension?: number | undefined;
  /** Told the headers of the columns that are taken as the embedding without having been named. */
  readonly onGuess?: (columns: readonly string[]) => void;
}

/** Columns that have a meaning of their own, by their names. */
const RESERVED = ['embedding', 'metadata', 'timestamp', 'lane'] as const;
type Reserved = (typeof RESERVED)[number];

/**
 * What each column of a CSV file is: the id, a part of the embedding, a field of its own, or else
 * a field of the metadata. Without a column `embedding` and without a choice of the user, the
 * columns that hold numbers in the first record are the embedding.
 */
export class CsvColumns {
  readonly #names: readonly string[];
  readonly #id: number;
  readonly #reserved: Readonly<Partial<Record<Reserved, number>>>;
  readonly #dimension: number | undefined;
  readonly #onGuess: CsvColumnOptions['onGuess'];
  #embedding: readonly number[] | undefined;

  /** @throws ClusterError INVALID_PARAMETER that names the missing column */
  constructor(names: readonly string[], options: CsvColumnOptions) {
    const { idColumn, embeddingColumns, dimension } = options;
    this.#dimension = dimension;
    this.#onGuess = options.onGuess;
    this.#names = names.map((name) => name.trim());
    this.#id = this.#find(idColumn);
    this.#reserved = Object.fromEntries(
      RESERVED.map((name) => [name, this.#names.indexOf(name)] as const).filter(
        ([, at]) => at >= 0,
      ),
    );
    this.#embedding = embeddingColumns?.flatMap((name) => this.#findAll(name));
  }

  /** The observation of a record, as far as it can be read; the cluster judges the rest. */
  observationOf(cells: readonly string[]): Observation | Fault {
    if (cells.length !== this.#names.length) {
      const detail = `the line has ${cells.length} columns, the header has ${this.#names.length}`;
      return { code: 'INVALID_BODY', detail };
    }
    const embedding = this.#embeddingOf(cells);
    if (!Array.isArray(embedding)) return embedding;
    const metadata = this.#metadataOf(cells);
    if (metadata instanceof SyntaxError)
      return { code: 'INVALID_METADATA', detail: `column metadata: ${metadata.message}` };
    const timestamp = this.#cell(cells, 'timestamp');
    const lane = this.#cell(cells, 'lane');
    return {
      id: cells[this.#id] as string,
      embedding,
      ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
      ...(timestamp === '' ? {} : { timestamp: Number(timestamp) }),
      ...(lane === '' ? {} : { lane: lane as NonNullable<Observation['lane']> }),
    };
  }

  #embeddingOf(cells: readonly string[]): number[] | Fault {
    const single = this.#reserved.embedding;
    if (this.#embedding === undefined && single !== undefined) return listOf(cells[single] ?? '');
    const places = (this.#embedding ??= this.#numericColumns(cells));
    const values: number[] = [];
    for (const place of places) {
      const value = numberOf(cells[place] ?? '');
      if (value === undefined) {
        const detail = `column ${this.#names[place]} is not a number`;
        return { code: 'INVALID_EMBEDDING', detail };
      }
      values.push(value);
    }
    return values;
  }

  #numericColumns(cells: readonly string[]): number[] {
    const places = this.#others().filter((place) => numberOf(cells[place] ?? '') !== undefined);
    const wanted = this.#dimension ?? places.length;
    if (places.length > 0 && places.length === wanted) {
      this.#onGuess?.(places.map((place) => this.#names[place] as string));
      return places;
    }
    const found = `${places.length} columns of the file hold numbers`;
    const space = this.#dimension === undefined ? '' : `, the space has the dimension ${wanted}`;
    throw new ClusterError('INVALID_PARAMETER', found + space, {
      pointer: '#embedding-columns',
      hint: 'name the columns of the embedding with --embedding-columns',
    });
  }

  #metadataOf(cells: readonly string[]): Record<string, unknown> | SyntaxError {
    const metadata: Record<string, unknown> = {};
    for (const place of this.#others()) {
      const value = cells[place] ?? '';
      if (this.#embedding?.includes(place) !== true && value !== '')
        metadata[this.#names[place] as string] = scalarOf(value);
    }
    const own = this.#cell(cells, 'metadata');
    if (own === '') return metadata;
    try {
      return { ...metadata, ...(JSON.parse(own) as object) };
    } catch (error) {
      return error as SyntaxError;
    }
  }

  #cell(cells: readonly string[], name: Reserved): string {
    const place = this.#reserved[name];
    return place === undefined ? '' : (cells[place] ?? '').trim();
  }

  /** Columns without a meaning of their own. */
  #others(): number[] {
    const taken = [this.#id, ...Object.values(this.#reserved)];
    return this.#names.map((_, place) => place).filter((place) => !taken.includes(place));
  }

  #findAll(name: string): number[] {
    if (!name.endsWith('*')) return [this.#find(name)];
    const prefix = name.slice(0, -1);
    const places = this.#names.flatMap((each, place) => (each.startsWith(prefix) ? [place] : []));
    return places.length > 0 ? places : [this.#find(name)];
  }

  #find(name: string): number {
    const place = this.#names.indexOf(name);
    if (place >= 0) return place;
    throw new ClusterError('INVALID_PARAMETER', `the file has no column ${name}`, {
      hint: `its columns are ${this.#names.slice(0, 12).join(', ')}`,
    });
  }
}

function numberOf(text: string): number | undefined {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/**
 * A number or a boolean when its text is the only way to write it, so that filters can compare it;
 * `007` and `1.0` stay text, because turned into numbers they could not be had back.
 */
function scalarOf(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  const value = Number(text);
  return Number.isFinite(value) && String(value) === text ? value : text;
}

/** A list in one cell: JSON, or numbers with spaces between them. */
function listOf(text: string): number[] | Fault {
  const inner = text.trim().replace(/^\[|\]$/g, '');
  const values = inner.split(/[\s,]+/).map(numberOf);
  return values.every((value) => value !== undefined)
    ? values
    : { code: 'INVALID_EMBEDDING', detail: 'column embedding is not a list of numbers' };
}
