/**
 * A number that a group measures and that runs are compared by. Where it can, it is a ratio to something that
 * was measured beside it in the same repetition: a machine that is slower today makes both slower.
 */
export interface Figure {
  /** Unique within its group. */
  readonly name: string;
  readonly unit: '×' | '1/s' | 'ms' | 'bytes' | 'share';
  readonly better: 'higher' | 'lower';
  /** One of each repetition, in their order. */
  readonly samples: readonly number[];
}

/** `0.47`, `12,345/s`, `3.1 ms`. */
export function formatFigure(value: number, unit: Figure['unit']): string {
  switch (unit) {
    case '×':
    case 'share':
      return value.toFixed(value < 10 ? 3 : 1);
    case '1/s':
      return `${Math.round(value).toLocaleString('en-US')}/s`;
    case 'ms':
      return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
    case 'bytes':
      return `${Math.round(value).toLocaleString('en-US')} B`;
  }
}
