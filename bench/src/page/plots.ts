import * as Plot from '@observablehq/plot';
import type { Figure } from '../figures/figure.ts';
import { estimateOf, outliersOf } from '../figures/statistics.ts';
import { drawn } from './drawing.ts';

const WIDTH = 640;
const ROW_HEIGHT = 34;
const AXES_HEIGHT = 44;
const LABEL_WIDTH = 70;

/**
 * One figure as SVG: each sample, the median with its 95 % interval, outliers in another colour; beneath it
 * the same of the baseline.
 */
export function figurePlot(now: Figure, before: Figure | undefined): string {
  const rows = [{ run: 'now', samples: now.samples }];
  if (before !== undefined) rows.push({ run: 'before', samples: before.samples });
  const points = rows.flatMap(({ run, samples }) => {
    const outliers = new Set(outliersOf(samples));
    return samples.map((value, i) => ({ run, value, isOutlier: outliers.has(i) }));
  });
  const estimates = rows.map(({ run, samples }) => ({ run, ...estimateOf(samples) }));
  const values = points.map(({ value }) => value);
  return drawn({
    width: WIDTH,
    height: AXES_HEIGHT + ROW_HEIGHT * rows.length,
    marginLeft: LABEL_WIDTH,
    x: { label: `${now.unit} (${now.better} is better)`, domain: around(values) },
    y: { label: null, domain: rows.map(({ run }) => run) },
    marks: [
      Plot.ruleY(estimates, {
        y: 'run',
        x1: 'low',
        x2: 'high',
        strokeWidth: 6,
        strokeOpacity: 0.3,
      }),
      Plot.tickX(estimates, { x: 'median', y: 'run', strokeWidth: 2 }),
      Plot.dot(points, {
        x: 'value',
        y: 'run',
        r: 3,
        fill: ({ isOutlier }: { readonly isOutlier: boolean }) =>
          isOutlier ? '#d1442f' : '#3b6ea5',
        fillOpacity: 0.7,
      }),
    ],
  });
}

/** A little more than from the least to the most, also where they are the same. */
function around(values: readonly number[]): [number, number] {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const margin = (most - least) * 0.05 || Math.abs(most) * 0.01 || 1;
  return [least - margin, most + margin];
}
