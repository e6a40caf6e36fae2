import { expect, test } from 'vitest';
import type { Environment } from '../src/environment.ts';
import { compareFigures } from '../src/figures/baseline.ts';
import type { Figure } from '../src/figures/figure.ts';
import { htmlOf, markdownOf, type PageContent } from '../src/page/page.ts';

const now: Figure = {
  name: 'rate <b>',
  unit: '1/s',
  better: 'higher',
  samples: [90, 91, 92, 91, 40],
};
const before: Figure = { ...now, samples: [100, 101, 102, 100, 101] };
const CONTENT: PageContent = {
  environment: {
    cpu: 'a & b',
    cores: 2,
    loadBefore: [0.1],
    commit: 'abc',
  } as unknown as Environment,
  data: 'words',
  baseline: 'main',
  isQuick: false,
  groups: [
    {
      name: 'inserts',
      title: 'inserts',
      report: {
        tables: [{ title: 'rates', head: ['what', 'rows/s'], rows: [['a|b', '1,000']] }],
        notes: ['read it so'],
        figures: [now],
        data: {},
      },
      before: [before],
      comparisons: compareFigures([now], [before]),
    },
  ],
};

test('the page has tables, verdicts and plots, escapes what it shows, and asks nobody for anything', () => {
  const html = htmlOf(CONTENT);
  expect(html).toContain('<td>a|b</td><td>1,000</td>');
  expect(html).toContain('<td class="worse">worse</td>');
  expect(html.match(/<svg /g)).toHaveLength(1);
  expect(html).toContain('rate &lt;b&gt;; unlike the others: 40/s');
  expect(html).toContain('a &amp; b');
  expect(html.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(
    /https?:|src=|href=|@import/,
  );
});

test('Markdown has the same tables', () => {
  const text = markdownOf(CONTENT);
  expect(text).toContain('| a\\|b | 1,000 |');
  expect(text).toMatch(/\| rate <b> \| 101\/s \| 91\/s \| 0\.901 \(.*\) \| worse \|/);
  expect(text).toContain('- read it so');
});
