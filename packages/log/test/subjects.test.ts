import { LANES, type PartitionId } from '@engram/model';
import { expect, test } from 'vitest';
import { parseAckSubject } from '../src/ack-subject.ts';
import { parseSubject, stripeOf, streamSubjects } from '../src/subjects.ts';

test('a place is read from an acknowledgement subject of either form', () => {
  const place = { sequence: 41, delivery: 7, storedAtMs: 1_700_000_000_123, pending: 5 };
  const counts = '1.41.7.1700000000123456789.5';
  for (const subject of [
    `$JS.ACK.OBS-0.consumer.${counts}`,
    `$JS.ACK._.account.OBS-0.consumer.${counts}`,
    `$JS.ACK.hub.account.OBS-0.consumer.${counts}.random`,
  ])
    expect(parseAckSubject(subject)).toEqual(place);
  expect(parseAckSubject('_INBOX.a.b')).toBeUndefined();
});

test('the streams together take each partition and lane exactly once, and nothing else', () => {
  for (const [stripes, partitions] of [
    [1, 1],
    [3, 8],
    [8, 3],
    [4, 64],
  ] as const) {
    const lists = Array.from({ length: stripes }, (_, i) => streamSubjects(i, stripes, partitions));
    const expected = Array.from({ length: partitions }, (_, p) =>
      LANES.map((lane) => `obs.${p}.${lane}.*`),
    );
    expect(lists.flat().sort()).toEqual(expected.flat().sort());
    lists.forEach((list, stripe) => {
      for (const subject of list)
        expect(stripeOf(Number(subject.split('.')[1]) as PartitionId, stripes)).toBe(stripe);
    });
  }
});

test('a subject is read back, and one of another form is not', () => {
  expect(parseSubject('obs.12.low.my_space')).toEqual({
    partition: 12,
    lane: 'low',
    space: 'my_space',
  });
  for (const subject of ['obs.1.low', 'obs.1.low.a.b', 'dlq.1.low.a', 'obs.1.urgent.a', ''])
    expect(parseSubject(subject)).toBeUndefined();
});
