import { expect, test } from 'vitest';
import { isAtLeast, parseDebianVersion, parseVersion } from '../src/binaries/version.ts';

test('the version is read from what the servers print', () => {
  expect(parseVersion('nats-server: v2.10.27\n')).toEqual([2, 10, 27]);
  expect(parseVersion('Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0')).toEqual([
    7, 0, 15,
  ]);
  expect(parseVersion('v2.11')).toEqual([2, 11, 0]);
  expect(parseVersion('no version here')).toBeUndefined();
});

test('epoch and revision of a Debian version are not part of it', () => {
  expect(parseDebianVersion('5:7.0.15-1~deb12u7')).toEqual([7, 0, 15]);
  expect(parseDebianVersion('2.10.27-1+b2')).toEqual([2, 10, 27]);
  expect(parseDebianVersion('')).toBeUndefined();
});

test('versions compare by number, not by text', () => {
  expect(isAtLeast([2, 10, 0], [2, 10, 0])).toBe(true);
  expect(isAtLeast([2, 9, 10], [2, 10, 0])).toBe(false);
  expect(isAtLeast([3, 0, 0], [2, 10, 5])).toBe(true);
  expect(isAtLeast([2, 10, 4], [2, 10, 5])).toBe(false);
});
