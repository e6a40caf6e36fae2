import { expect, test } from 'vitest';
import { FAULT_NAMES, faultKind, phasesOf, type Phase } from './schedule.ts';

function firstPhases(seed: number, count: number): Phase[] {
  const phases: Phase[] = [];
  for (const phase of phasesOf(seed, FAULT_NAMES)) {
    if (phases.length === count) return phases;
    phases.push(phase);
  }
  return phases;
}

test('the same seed gives the same schedule, another one another', () => {
  expect(firstPhases(1, 50)).toEqual(firstPhases(1, 50));
  expect(firstPhases(1, 50)).not.toEqual(firstPhases(2, 50));
});

test('in a long run every fault comes, alone and beside others, and for as long as its kind allows', () => {
  const phases = firstPhases(3, 400);
  const faults = phases.flatMap((phase) => phase.faults);
  expect(new Set(faults.map(({ name }) => name))).toEqual(new Set(FAULT_NAMES));
  for (const { name, lastsMs } of faults) {
    const [least, most] = faultKind(name).lastsMs;
    expect([lastsMs >= least, lastsMs <= most], name).toEqual([true, true]);
  }
  expect(new Set(phases.map((phase) => phase.faults.length))).toEqual(new Set([1, 2, 3]));
});

test('a fault that takes everything down comes alone', () => {
  for (const { faults } of firstPhases(4, 400))
    if (faults.some(({ name }) => faultKind(name).isAlone === true)) expect(faults).toHaveLength(1);
});
