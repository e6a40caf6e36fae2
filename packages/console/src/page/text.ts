const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export function whole(value: number): string {
  return WHOLE.format(value);
}

/** Milliseconds with as many digits as are of use. */
export function ms(value: number | undefined): string {
  if (value === undefined) return '–';
  if (value >= 10_000) return `${(value / 1_000).toFixed(0)} s`;
  if (value >= 1_000) return `${(value / 1_000).toFixed(1)} s`;
  return value >= 10 ? `${value.toFixed(0)} ms` : `${value.toFixed(1)} ms`;
}

export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Numbers in the order that people count in: shard-2 before shard-10. */
export function byName(left: string, right: string): number {
  return left.localeCompare(right, 'en', { numeric: true });
}
