import { expect, test } from 'vitest';
import { parseCoefficients } from '../src/coefficients.ts';
import { DEFAULTS } from './fixtures.ts';

test('coefficients are taken alone, or out of the results of the bench', () => {
  expect(parseCoefficients(DEFAULTS)).toEqual(DEFAULTS);
  expect(parseCoefficients({ environment: {}, coefficients: DEFAULTS })).toBe(DEFAULTS);
  expect(parseCoefficients({ capacity: { coefficients: DEFAULTS } })).toBe(DEFAULTS);
});

test('what is wrong is named', () => {
  const having = (changes: object) => () =>
    parseCoefficients({ ...DEFAULTS, cpu: { ...DEFAULTS.cpu, ...changes } });
  expect(() => parseCoefficients(null)).toThrow('it must be an object');
  expect(() => parseCoefficients([])).toThrow('it must be an object');
  expect(() => parseCoefficients({})).toThrow('machine must be an object');
  expect(having({ gateway: { perBatchUs: 1, perObservationUs: -1 } })).toThrow(
    'cpu.gateway.perObservationUs must be a number from 0 to 1000000000000',
  );
  expect(having({ applyMainShare: 1.5 })).toThrow('cpu.applyMainShare must be a number above 0');
  expect(having({ applyMainShare: 0 })).toThrow('cpu.applyMainShare must be a number above 0');
  expect(having({ idle: { ...DEFAULTS.cpu.idle, nats: 1.5 } })).toThrow(
    'cpu.idle.nats must be a number from 0 to 1',
  );
  expect(having({ wakeUs: { ...DEFAULTS.cpu.wakeUs, log: 1e13 } })).toThrow(
    'cpu.wakeUs.log must be a number from 0 to 1000000000000',
  );
  expect(having({ variation: null })).toThrow('cpu.variation must be a number');
  expect(having({ variation: NaN })).toThrow('cpu.variation must be a number');
  expect(() =>
    parseCoefficients({ ...DEFAULTS, machine: { ...DEFAULTS.machine, cpu: 3 } }),
  ).toThrow('machine.cpu must be a text');
});
