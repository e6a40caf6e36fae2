import { parse } from 'csv-parse/sync';
import type { Observation } from '@engram/model';
import { CsvColumns, type CsvColumnOptions } from './csv-columns.ts';
import type { Fault, Line } from './lines.ts';
import { faultyRow, type Row } from './row.ts';

/** A quoted cell may hold line ends, up to so many; a stray quote costs no more than this. */
const RECORD_LINES_MAX = 64;

/**
 * Records of a CSV file with a header line. Lines are joined while a quote is open, and csv-parse
 * reads one record at a time: reading the file as one stream it loses every line between a stray
 * quote and the next one. A record that cannot be read costs its first line; the lines that were
 * joined to it are tried again on their own.
 * @throws ClusterError when the header lacks what is needed
 */
export async function* csvRows(
  lines: AsyncIterable<Line>,
  options: CsvColumnOptions,
): AsyncGenerator<Row, void> {
  const source = new LineQueue(lines);
  let columns: CsvColumns | undefined;
  for (let line; (line = await source.next()) !== undefined;) {
    if (line.fault !== undefined) {
      yield faultyRow(line, line.fault);
      continue;
    }
    if (line.text.trim() === '') continue;
    const joined = await joinQuoted(line, source);
    const record = cellsOf(joined.map(({ text }) => text).join('\n'));
    if (columns === undefined) {
      if (!Array.isArray(record)) throw new Error(`the header line is not CSV: ${record.detail}`);
      columns = new CsvColumns(record, options);
      continue;
    }
    const made = Array.isArray(record) ? columns.observationOf(record) : record;
    if (isFault(made)) {
      source.putBack(joined.slice(1));
      yield faultyRow(line, made);
    } else {
      const text = joined.map((each) => each.text).join('\n');
      yield { line: line.number, text, observation: made };
    }
  }
}

function isFault(made: Observation | Fault): made is Fault {
  return 'code' in made;
}

async function joinQuoted(first: Line, source: LineQueue): Promise<Line[]> {
  const joined = [first];
  let open = hasOpenQuote(first.text);
  while (open && joined.length < RECORD_LINES_MAX) {
    const line = await source.next();
    if (line === undefined) break;
    joined.push(line);
    if (hasOpenQuote(line.text)) open = false;
  }
  return joined;
}

/** An odd number of quotes: a doubled quote inside a cell counts two. */
function hasOpenQuote(text: string): boolean {
  let open = false;
  for (let at = -1; (at = text.indexOf('"', at + 1)) >= 0;) open = !open;
  return open;
}

function cellsOf(text: string): string[] | Fault {
  // Most files have no quotes at all, and then a record is what stands between the commas.
  if (!text.includes('"')) return text.split(',');
  try {
    const [cells = []] = parse(text, { relax_column_count: true });
    return cells;
  } catch (error) {
    return { code: 'INVALID_BODY', detail: (error as Error).message };
  }
}

/** Lines to read, of which some may be put back. */
class LineQueue {
  readonly #lines: AsyncIterator<Line, unknown>;
  #ahead: Line[] = [];

  constructor(lines: AsyncIterable<Line>) {
    this.#lines = lines[Symbol.asyncIterator]();
  }

  async next(): Promise<Line | undefined> {
    const ahead = this.#ahead.shift();
    if (ahead !== undefined) return ahead;
    const result = await this.#lines.next();
    return result.done === true ? undefined : result.value;
  }

  putBack(lines: readonly Line[]): void {
    this.#ahead = [...lines, ...this.#ahead];
  }
}
