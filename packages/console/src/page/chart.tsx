// A line chart of the last quarter of an hour.

import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';

export interface Line {
  readonly label: string;
  /** A custom property of the style sheet. */
  readonly colour: string;
  readonly values: readonly (number | undefined)[];
}

interface Props {
  readonly title: string;
  readonly timesS: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
}

const HEIGHT = 170;
const AXIS_WIDTH = 64;
/** Of the upper end of a scale: below it all labels would be the same. */
const LEAST = 4;

export function Chart({ title, timesS, lines, format }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  const latest = useRef({ timesS, lines });
  latest.current = { timesS, lines };
  useEffect(() => {
    const element = place.current!;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(
        optionsOf(element.clientWidth, latest.current.lines, format),
        dataOf(latest.current.timesS, latest.current.lines),
        element,
      );
    };
    draw();
    const resized = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    resized.observe(element);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', draw);
    addEventListener('themechange', draw);
    return () => {
      resized.disconnect();
      scheme.removeEventListener('change', draw);
      removeEventListener('themechange', draw);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [format]);
  useEffect(() => plot.current?.setData(dataOf(timesS, lines)), [timesS, lines]);
  const now = lines.map(({ label, values }) => {
    const last = values.at(-1);
    return `${label} ${last === undefined ? 'unknown' : format(last)}`;
  });
  return (
    <figure class="chart">
      <figcaption>
        {title}
        <span class="legend">
          {lines.map(({ label, colour, values }) => {
            const last = values.at(-1);
            return (
              <span key={label}>
                <i style={{ background: `var(${colour})` }} aria-hidden="true" />
                {label} <b>{last === undefined ? '–' : format(last)}</b>
              </span>
            );
          })}
        </span>
      </figcaption>
      <div ref={place} role="img" aria-label={`${title}, now: ${now.join(', ')}`} />
    </figure>
  );
}

function optionsOf(
  width: number,
  lines: readonly Line[],
  format: (value: number) => string,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--quiet'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui, sans-serif',
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: true, y: false, points: { size: 6 } },
    scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.1, LEAST)] } },
    axes: [
      { ...axis, space: 80, values: (_, times) => times.map(clockText) },
      { ...axis, size: AXIS_WIDTH, values: (_, values) => values.map((value) => format(value)) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: colour(line.colour),
        width: 1.5,
        points: { show: false },
      })),
    ],
  };
}

/** The time of day, in the way of who looks. */
function clockText(atS: number): string {
  return new Date(atS * 1_000).toLocaleTimeString();
}

function dataOf(timesS: readonly number[], lines: readonly Line[]): uPlot.AlignedData {
  return [
    [...timesS],
    ...lines.map(({ values }) => values.map((value) => value ?? null)),
  ] as uPlot.AlignedData;
}
