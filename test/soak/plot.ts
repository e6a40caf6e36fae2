const BARS = '▁▂▃▄▅▆▇█';
const WIDTH = 60;

/** One line that shows numbers over time; undefined ones, where nothing was measured, are gaps. */
export function plot(numbers: readonly (number | undefined)[]): string {
  const columns = squeezed(numbers);
  const max = Math.max(...columns.map((number) => number ?? 0));
  return columns
    .map((number) => {
      if (number === undefined) return ' ';
      if (max === 0) return BARS[0];
      return BARS[Math.min(BARS.length - 1, Math.floor((number / max) * BARS.length))];
    })
    .join('');
}

/** As many columns as fit; the highest number stands for those that share one. */
function squeezed(numbers: readonly (number | undefined)[]): (number | undefined)[] {
  if (numbers.length <= WIDTH) return [...numbers];
  return Array.from({ length: WIDTH }, (_, column) => {
    const from = Math.floor((column * numbers.length) / WIDTH);
    const to = Math.floor(((column + 1) * numbers.length) / WIDTH);
    const known = numbers.slice(from, to).filter((number) => number !== undefined);
    return known.length === 0 ? undefined : Math.max(...known);
  });
}
