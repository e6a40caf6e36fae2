import type { Observation } from '@engram/model';
import type { Line } from './lines.ts';
import { faultyRow, type Row } from './row.ts';

/**
 * One JSON object a line; blank lines are passed over. Only what keeps a line from being sent is
 * judged here: the rules for an observation are the cluster's.
 */
export async function* ndjsonRows(lines: AsyncIterable<Line>): AsyncGenerator<Row, void> {
  for await (const line of lines) {
    if (line.fault !== undefined) yield faultyRow(line, line.fault);
    else if (line.text.trim() !== '') yield rowOf(line);
  }
}

function rowOf(line: Line): Row {
  let value: unknown;
  try {
    value = JSON.parse(line.text);
  } catch (error) {
    return faultyRow(line, { code: 'INVALID_JSON', detail: (error as SyntaxError).message });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return faultyRow(line, { code: 'INVALID_BODY', detail: 'the line is not a JSON object' });
  const text = rejectedText(value as Readonly<Record<string, unknown>>);
  // One that an earlier import refused stands in its file with the reason.
  if (text !== undefined) return rowOf({ ...line, text });
  return { line: line.number, text: line.text, observation: value as Observation };
}

/** The line that was refused, where this one is a `Rejection`; undefined for an observation. */
function rejectedText({ line, code, detail, text }: Readonly<Record<string, unknown>>) {
  const isRejection = typeof line === 'number' && typeof code === 'string';
  return isRejection && typeof detail === 'string' && typeof text === 'string' ? text : undefined;
}
