// Costs from measurements. None of them can be negative, and each counts by how far it is off in percent:
// a batch of 768 dimensions is no more important than one of 100.

export interface Measurement {
  /** What each unknown is multiplied by. */
  readonly factors: readonly number[];
  readonly value: number;
}

/**
 * The unknowns, none below zero, with the least sum of squared relative errors. So few are tried in all
 * combinations of those that are zero.
 */
export function fitted(measurements: readonly Measurement[]): readonly number[] {
  const unknowns = measurements[0]?.factors.length ?? 0;
  // What was not to be measured is in no proportion to anything.
  const scaled = measurements
    .filter(({ value }) => value > 0)
    .map(({ factors, value }) => factors.map((factor) => factor / value));
  let best = { error: Infinity, solution: Array.from({ length: unknowns }, () => 0) };
  for (let subset = 1; subset < 2 ** unknowns; subset++) {
    const used = Array.from({ length: unknowns }, (_, i) => i).filter((i) => subset & (1 << i));
    const found = leastSquares(scaled.map((row) => used.map((i) => row[i]!)));
    if (found === undefined || found.some((value) => value < 0)) continue;
    const solution = Array.from({ length: unknowns }, (_, i) => found[used.indexOf(i)] ?? 0);
    const error = scaled.reduce((sum, row) => sum + (dot(row, solution) - 1) ** 2, 0);
    if (error < best.error) best = { error, solution };
  }
  return best.solution;
}

/** By the normal equations of rows that shall each give 1; undefined where they do not tell. */
function leastSquares(rows: readonly (readonly number[])[]): number[] | undefined {
  const size = rows[0]?.length ?? 0;
  const matrix = Array.from({ length: size }, (_, i) => [
    ...Array.from({ length: size }, (_, j) =>
      rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0),
    ),
    rows.reduce((sum, row) => sum + row[i]!, 0),
  ]);
  for (let i = 0; i < size; i++) {
    const pivot = matrix
      .slice(i)
      .reduce((best, row) => (Math.abs(row[i]!) > Math.abs(best[i]!) ? row : best));
    if (Math.abs(pivot[i]!) < Number.EPSILON * Math.abs(matrix[i]![size]!)) return undefined;
    matrix[matrix.indexOf(pivot)] = matrix[i]!;
    matrix[i] = pivot;
    for (const [j, row] of matrix.entries()) {
      if (j === i) continue;
      const factor = row[i]! / pivot[i]!;
      for (let k = i; k <= size; k++) row[k]! -= factor * pivot[k]!;
    }
  }
  return matrix.map((row, i) => row[size]! / row[i]!);
}

function dot(left: readonly number[], right: readonly number[]): number {
  return left.reduce((sum, value, i) => sum + value * right[i]!, 0);
}
