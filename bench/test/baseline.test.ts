import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Environment } from '../src/environment.ts';
import {
  baselinePath,
  compareFigures,
  differenceOf,
  readBaseline,
  saveBaseline,
  type Baseline,
} from '../src/figures/baseline.ts';
import type { Figure } from '../src/figures/figure.ts';

const figure = (name: string, samples: readonly number[]): Figure => ({
  name,
  unit: '×',
  better: 'higher',
  samples,
});
const environment = { cores: 2, cpu: 'any' } as Environment;
const settings = { words: 20_000, repetitions: 3, isQuick: false };
const BASELINE: Baseline = {
  environment,
  settings,
  figures: { pipes: [figure('http', [0.5, 0.6, 0.55, 0.52, 0.58])] },
};

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'engram-baselines-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('what was saved is read back, and a later run replaces the groups that it ran', () => {
  const folder = scratch();
  saveBaseline('main', BASELINE, folder);
  expect(readBaseline('main', folder)).toEqual(BASELINE);
  saveBaseline('main', { ...BASELINE, figures: { inserts: [figure('graph', [1])] } }, folder);
  expect(Object.keys(readBaseline('main', folder).figures)).toEqual(['pipes', 'inserts']);
  // Of other settings nothing is kept: it could not be compared with the rest.
  const quick = { ...BASELINE, settings: { ...settings, isQuick: true }, figures: {} };
  saveBaseline('main', quick, folder);
  expect(readBaseline('main', folder)).toEqual(quick);
});

test('one that is not there, or is none, is told with how to make it', () => {
  const folder = scratch();
  expect(() => readBaseline('main', folder)).toThrow(/--save-baseline main/);
  const hostile = [null, {}, [null], [{ name: 'x', samples: [] }], [{ name: 'x', samples: '12' }]];
  for (const text of [
    '{',
    'null',
    '{"settings": {}}',
    '{"settings": null, "environment": {}, "figures": {}}',
    ...hostile.map((pipes) => JSON.stringify({ ...BASELINE, figures: { pipes } })),
    JSON.stringify({ ...BASELINE, figures: { pipes: [figure('http', [NaN])] } }),
  ]) {
    writeFileSync(baselinePath('main', folder), text);
    expect(() => readBaseline('main', folder)).toThrow(/there is no baseline main/);
  }
});

test('runs with other settings or on another machine are not compared', () => {
  expect(differenceOf(BASELINE, { settings, environment })).toBeUndefined();
  const quick = { settings: { ...settings, isQuick: true }, environment };
  expect(differenceOf(BASELINE, quick)).toMatch(/isQuick false, this run has true/);
  const larger = { settings, environment: { ...environment, cores: 8 } };
  expect(differenceOf(BASELINE, larger)).toMatch(/2 cores, this one 8/);
});

test('figures that only one of them has are left out', () => {
  const now = [figure('http', [1, 1, 1, 1, 1]), figure('new', [1])];
  expect(compareFigures(now, BASELINE.figures['pipes'])).toMatchObject([
    { name: 'http', verdict: 'better' },
  ]);
  expect(compareFigures(now, undefined)).toEqual([]);
});
