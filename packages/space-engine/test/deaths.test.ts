import fc from 'fast-check';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { Deaths, forEachStored, type StoredDeaths } from '../src/deaths.ts';
import { decodeManifest, encodeManifest, type Manifest } from '../src/manifest.ts';

function pairs(deaths: StoredDeaths): [number, number][] {
  const told: [number, number][] = [];
  forEachStored(deaths, (row, stamp) => told.push([row, stamp]));
  return told;
}

function manifestOf(deaths: StoredDeaths): Manifest {
  return { segments: [{ file: 1, checksum: 2, deaths }] } as unknown as Manifest;
}

test('the deaths of a range come through a manifest as they are (property)', () => {
  const dead = fc.dictionary(fc.nat(300).map(String), fc.integer({ min: 1, max: 2 ** 50 }));
  fc.assert(
    fc.property(dead, fc.nat(300), fc.nat(300), fc.nat(3), (all, from, to, kept) => {
      const deaths = new Deaths();
      for (const [row, stamp] of Object.entries(all)) deaths.kill(Number(row), stamp);
      const isDead = (row: number) => row % 4 !== kept;
      const stored = deaths.stored(from, to, isDead);
      const expected = Object.entries(all)
        .map(([row, stamp]): [number, number] => [Number(row), stamp])
        .filter(([row]) => row >= from && row < to && isDead(row))
        .map(([row, stamp]) => [row - from, stamp]);
      const [entry] = decodeManifest(
        Buffer.concat(encodeManifest(manifestOf(stored))),
        'here',
      ).segments;
      expect(pairs(entry!.deaths)).toEqual(expected);
    }),
  );
});

test('a manifest that is one text, with deaths in base64, is read all the same', () => {
  const deaths = Buffer.from(Float64Array.of(3, 40, 5, 60).buffer).toString('base64');
  const body = JSON.stringify({ segments: [{ file: 1, checksum: 2, deaths }], note: 'é' });
  const manifest = decodeManifest(Buffer.from(`4 ${crc32(body)}\n${body}`), 'here');
  expect(manifest).toMatchObject({ note: 'é', segments: [{ file: 1, checksum: 2 }] });
  expect(pairs(manifest.segments[0]!.deaths)).toEqual([
    [3, 40],
    [5, 60],
  ]);
});

test('a manifest with deaths in lists is read all the same', () => {
  const body = JSON.stringify({
    segments: [
      {
        file: 1,
        checksum: 2,
        deaths: [
          [3, 40],
          [5, 60],
        ],
      },
    ],
  });
  const [entry] = decodeManifest(Buffer.from(`3 ${crc32(body)}\n${body}`), 'here').segments;
  expect(pairs(entry!.deaths)).toEqual([
    [3, 40],
    [5, 60],
  ]);
});
