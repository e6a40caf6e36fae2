// A run as one page that asks nothing of anybody, and as Markdown for documents.

import type { Environment } from '../environment.ts';
import { formatFigure, type Figure } from '../figures/figure.ts';
import { outliersOf } from '../figures/statistics.ts';
import type { Comparison } from '../figures/verdict.ts';
import type { GroupReport, ReportTable } from '../group.ts';
import { QUICK_TEXT } from '../report.ts';
import { figurePlot } from './plots.ts';

export interface PageGroup {
  readonly name: string;
  readonly title: string;
  readonly report: GroupReport;
  /** Of the baseline, where there is one. */
  readonly before: readonly Figure[] | undefined;
  readonly comparisons: readonly Comparison[];
}

export interface PageContent {
  readonly environment: Environment;
  readonly data: string;
  readonly baseline: string | undefined;
  readonly isQuick: boolean;
  readonly groups: readonly PageGroup[];
}

const STYLE = `
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; display: block; overflow-x: auto; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #8884; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
.worse { color: #d1442f; } .better { color: #2a8a4a; }
figure { margin: 1rem 0; } svg { max-width: 100%; height: auto; }`;

export function htmlOf(content: PageContent): string {
  const { groups } = content;
  const facts = factsOf(content);
  const sections = groups.map((group) => {
    const { title, report, comparisons } = group;
    const before = new Map(group.before?.map((figure) => [figure.name, figure]));
    return [
      `<h2 id="${escaped(group.name)}">${escaped(title)}</h2>`,
      ...report.tables.map((table) => htmlTable(table)),
      comparisons.length === 0 ? '' : htmlTable(comparisonTable(comparisons), 'verdict'),
      ...(report.figures ?? []).map(
        (figure) =>
          `<figure><figcaption>${escaped(figure.name)}${escaped(outlierText(figure))}</figcaption>${figurePlot(figure, before.get(figure.name))}</figure>`,
      ),
      ...(report.pictures ?? []).map(
        ({ title: caption, svg }) =>
          `<figure><figcaption>${escaped(caption)}</figcaption>${svg}</figure>`,
      ),
      `<ul>${report.notes.map((note) => `<li>${escaped(note)}</li>`).join('')}</ul>`,
    ].join('\n');
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Engram benchmarks</title><style>${STYLE}</style></head><body>
<h1>Engram benchmarks</h1>
<ul>${facts.map(([name, value]) => `<li>${escaped(name)}: ${escaped(value)}</li>`).join('')}</ul>
${sections.join('\n')}
</body></html>
`;
}

export function markdownOf(content: PageContent): string {
  const { groups } = content;
  const facts = factsOf(content).map(([name, value]) => `- ${name}: ${value}`);
  const sections = groups.map(({ title, report, comparisons }) =>
    [
      `## ${title}`,
      ...report.tables.map(markdownTable),
      ...(comparisons.length === 0 ? [] : [markdownTable(comparisonTable(comparisons))]),
      report.notes.map((note) => `- ${note}`).join('\n'),
    ].join('\n\n'),
  );
  return `# Engram benchmarks\n\n${facts.join('\n')}\n\n${sections.join('\n\n')}\n`;
}

/** The figures of a run beside those of its baseline. */
export function comparisonTable(comparisons: readonly Comparison[]): ReportTable {
  return {
    title: 'against the baseline: medians, with 95 % intervals',
    head: ['figure', 'before', 'now', 'ratio', 'verdict'],
    rows: comparisons.map(({ name, unit, before, now, ratio, verdict }) => [
      name,
      formatFigure(before.median, unit),
      formatFigure(now.median, unit),
      `${ratio.median.toFixed(3)} (${ratio.low.toFixed(3)}–${ratio.high.toFixed(3)})`,
      verdict,
    ]),
  };
}

function factsOf({
  environment,
  data,
  baseline,
  isQuick,
}: PageContent): (readonly [string, string])[] {
  const { cpu, cores, memoryGiB, system, loadBefore } = environment;
  const { node, natsServer, redisServer, commit, date } = environment;
  return [
    ...(isQuick ? [['run', QUICK_TEXT] as const] : []),
    [
      'machine',
      `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}; load before ${loadBefore.join(' ')}`,
    ],
    ['versions', `node ${node}, nats-server ${natsServer}, redis-server ${redisServer}`],
    ['data', data],
    ['commit', `${commit}, ${date}`],
    ...(baseline === undefined ? [] : [['baseline', baseline] as const]),
  ];
}

function outlierText({ samples, unit }: Figure): string {
  const outliers = outliersOf(samples).map((i) => formatFigure(samples[i]!, unit));
  return outliers.length === 0 ? '' : `; unlike the others: ${outliers.join(', ')}`;
}

function htmlTable({ title, head, rows }: ReportTable, classColumn?: string): string {
  const at = classColumn === undefined ? -1 : head.indexOf(classColumn);
  const cells = (row: readonly string[], tag: string) =>
    row
      .map(
        (cell, i) =>
          `<${tag}${i === at && tag === 'td' ? ` class="${escaped(cell)}"` : ''}>${escaped(cell)}</${tag}>`,
      )
      .join('');
  return `<table><caption>${escaped(title)}</caption><thead><tr>${cells(head, 'th')}</tr></thead><tbody>${rows
    .map((row) => `<tr>${cells(row, 'td')}</tr>`)
    .join('')}</tbody></table>`;
}

function markdownTable({ title, head, rows }: ReportTable): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = `|${head.map((_, i) => (i === 0 ? '---' : '---:')).join('|')}|`;
  return `**${title}**\n\n${[line(head), rule, ...rows.map(line)].join('\n')}`;
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
