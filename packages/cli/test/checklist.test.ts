import type { ClusterEvent } from '@engram/local-cluster';
import { expect, test } from 'vitest';
import { Checklist } from '../src/up/checklist.ts';

function linesOf(events: readonly (ClusterEvent | 'ready')[]): string[] {
  const lines: string[] = [];
  const checklist = new Checklist({ shards: 2, gateways: 2 }, (line) => {
    // eslint-disable-next-line no-control-regex -- colors are not what is tested
    lines.push(line.replaceAll(/\u001b\[\d+m/g, ''));
  });
  for (const event of events)
    if (event === 'ready') checklist.started();
    else checklist.onEvent(event);
  return lines;
}

const started = (role: 'shard' | 'gateway', number: number, tookMs: number): ClusterEvent => ({
  kind: 'started',
  id: `${role}-${number}`,
  role,
  pid: number,
  url: `http://127.0.0.1:${7700 + number}`,
  tookMs,
});

test('a start is one line for each kind of member, with the time of the slowest', () => {
  const events = [
    started('shard', 2, 900),
    started('gateway', 2, 50),
    started('shard', 1, 1_200),
    started('gateway', 1, 40),
  ];
  expect(linesOf(events)).toEqual([
    '✔ shards  2 shards ready   1.2 s',
    '✔ gateway http://127.0.0.1:7701 http://127.0.0.1:7702   50 ms',
  ]);
});

test('later, each end and each start is a line', () => {
  const shard = { id: 'shard-1', role: 'shard' } as const;
  const events: (ClusterEvent | 'ready')[] = [
    'ready',
    { ...shard, kind: 'exited', exit: { code: null, signal: 'SIGKILL' }, restartMs: 250 },
    { ...shard, kind: 'restart-failed', message: 'it does not start', restartMs: 500 },
    started('shard', 1, 30),
    { ...shard, kind: 'closed' },
  ];
  expect(linesOf(events)).toEqual([
    '⚠ shard-1 ended with SIGKILL; it starts again in 0.3 s',
    '⚠ it does not start\n  next attempt in 0.5 s',
    '✔ shard-1 runs again at http://127.0.0.1:7701   30 ms',
  ]);
});
