import { expect, test } from 'vitest';
import { FAULT_NAMES } from '../support/faults/schedule.ts';
import { parseOptions, UsageError } from './options.ts';

const parse = (...args: string[]) => parseOptions(args, () => 77);

test('without options all faults are mixed under a new seed', () => {
  expect(parse()).toMatchObject({ minutes: 5, shards: 3, seed: 77, faults: FAULT_NAMES });
});

test('faults are chosen by name, and a seed is taken as it is', () => {
  const options = parse('--faults', 'kill-nats,poison', '--seed', '0', '--minutes', '0.5');
  expect(options).toMatchObject({ faults: ['kill-nats', 'poison'], seed: 0, minutes: 0.5 });
  expect(parse('--faults', 'none').faults).toEqual([]);
});

test.each<string[]>([
  ['--faults', 'earthquake'],
  ['--minutes', '0'],
  ['--minutes', ''],
  ['--minutes', '1440', '--rate', '1000'],
  ['--shards', '2.5'],
  ['--rate', 'fast'],
  ['--nonsense'],
])('%s %s is refused with the reason', (...args) => {
  expect(() => parse(...args)).toThrow(UsageError);
});
