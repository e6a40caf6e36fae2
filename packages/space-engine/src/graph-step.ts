/** Inserts of int8 rows with the default options: 0.4 ms at 768 dimensions, 0.2 ms at 100. */
const ROWS_MAX = 5;
const FLOATS_MAX = 4_096;

/** Rows that are put into a graph between two looks at the time. */
export function rowsAStep(dimension: number): number {
  return Math.max(1, Math.min(ROWS_MAX, Math.floor(FLOATS_MAX / dimension)));
}
