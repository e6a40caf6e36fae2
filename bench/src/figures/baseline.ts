// Figures of a run that later ones are compared with.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Environment } from '../environment.ts';
import { UsageError } from '../options.ts';
import { writeJson } from '../report.ts';
import type { Figure } from './figure.ts';
import { compare, type Comparison } from './verdict.ts';

const FOLDER = fileURLToPath(new URL('../../baselines/', import.meta.url));

/** What a run has to have in common with another one to be compared. */
interface Settings {
  readonly words: number;
  readonly repetitions: number;
  readonly isQuick: boolean;
}

export interface Baseline {
  readonly environment: Environment;
  readonly settings: Settings;
  /** By group. */
  readonly figures: Readonly<Record<string, readonly Figure[]>>;
}

export function baselinePath(name: string, folder = FOLDER): string {
  return join(folder, `${name}.json`);
}

/** The groups of this run take the place of what an earlier one saved under the name; others stay. */
export function saveBaseline(name: string, baseline: Baseline, folder = FOLDER): void {
  const before = tryRead(baselinePath(name, folder));
  const isSame = before !== undefined && differenceOf(before, baseline) === undefined;
  const figures = { ...(isSame ? before.figures : {}), ...baseline.figures };
  writeJson(baselinePath(name, folder), { ...baseline, figures });
}

/** @throws UsageError when there is none, or it is none */
export function readBaseline(name: string, folder = FOLDER): Baseline {
  const baseline = tryRead(baselinePath(name, folder));
  if (baseline !== undefined) return baseline;
  throw new UsageError(`there is no baseline ${name}; make it with --save-baseline ${name}`);
}

function tryRead(path: string): Baseline | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isBaseline(value) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT')
      return undefined;
    throw error;
  }
}

/** Whatever stands in the file: a sample that is no number would make verdicts without a word. */
function isBaseline(value: unknown): value is Baseline {
  const { settings, environment, figures } = Object(value) as Partial<Record<string, unknown>>;
  return isRecord(settings) && isRecord(environment) && isRecord(figures)
    ? Object.values(figures).every((group) => Array.isArray(group) && group.every(isFigure))
    : false;
}

function isFigure(value: unknown): value is Figure {
  const { name, samples } = Object(value) as Partial<Record<string, unknown>>;
  return (
    typeof name === 'string' &&
    Array.isArray(samples) &&
    samples.length > 0 &&
    samples.every((sample) => typeof sample === 'number')
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Why two runs cannot be compared; undefined where they can. */
export function differenceOf(before: Baseline, now: Pick<Baseline, 'settings' | 'environment'>) {
  for (const key of ['words', 'repetitions', 'isQuick'] as const)
    if (before.settings[key] !== now.settings[key])
      return `it was made with ${key} ${before.settings[key]}, this run has ${now.settings[key]}`;
  if (before.environment.cores !== now.environment.cores)
    return `its machine has ${before.environment.cores} cores, this one ${now.environment.cores}`;
  return undefined;
}

/** Of all figures that both have. */
export function compareFigures(
  now: readonly Figure[],
  before: readonly Figure[] | undefined = [],
): Comparison[] {
  const known = new Map(before.map((figure) => [figure.name, figure]));
  return now.flatMap((figure) => {
    const other = known.get(figure.name);
    return other === undefined ? [] : [compare(figure, other)];
  });
}
