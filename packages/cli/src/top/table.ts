// A sample as text: a table for people, a line for logs.

import {
  bytesText,
  counted,
  duration,
  type LaneRow,
  type Sample,
  type ShardRow,
} from '@engram/diagnosis';
import Table from 'cli-table3';
import colors from 'picocolors';
import { warningLine } from '../format.ts';
import { colorOf } from '../pressure.ts';
import { whole } from '../import/progress.ts';

/** Three rows a shard, one for each lane. */
export function tableOf(sample: Sample): string {
  const table = new Table({
    style: { head: [], border: [], compact: true },
    head: 'shard,ready,rows,memory,lane,pressure,waiting,lag,applied/s'.split(','),
    colAligns: [
      ...(['left', 'right', 'right', 'right', 'left', 'left'] as const),
      ...(['right', 'right', 'right'] as const),
    ],
  });
  for (const shard of sample.shards)
    shard.lanes.forEach((row, i) =>
      table.push([...(i === 0 ? shardCells(shard) : ['', '', '', '']), ...laneCells(row)]),
    );
  return [headline(sample), table.toString(), ...sample.reasons.map(warningLine)].join('\n');
}

/** One line of everything together. */
export function lineOf(sample: Sample): string {
  const lanes = sample.shards.flatMap((shard) => shard.lanes);
  const waiting = lanes.reduce((sum, row) => sum + (row.waiting ?? 0), 0);
  const lagMs = Math.max(0, ...lanes.map((row) => row.lagMs ?? 0));
  const told = `${headline(sample)}   ${whole(waiting)} waiting   lag ${duration(lagMs)}`;
  return [sample.time, told].filter((part) => part !== undefined).join('   ');
}

function headline({ cluster, degraded, epoch, rate, observations, logShare, shards }: Sample) {
  return [
    degraded ? colors.yellow('degraded') : colors.green('healthy'),
    cluster,
    `epoch ${epoch}`,
    counted(shards.length, 'shard'),
    `${whole(observations)} observations`,
    `${rate === undefined ? '?' : whole(rate)}/s`,
    ...(logShare === undefined ? [] : [`log ${Math.round(logShare * 100)} %`]),
  ].join('   ');
}

function shardCells({ shard, state, partitions, ready, observations, ...memory }: ShardRow) {
  return [
    state === 'leaving' ? `${shard} (leaving)` : shard,
    `${ready ?? '?'}/${partitions ?? '?'}`,
    observations === undefined ? '?' : whole(observations),
    memoryText(memory),
  ];
}

function memoryText({ privateBytes, memory }: Pick<ShardRow, 'privateBytes' | 'memory'>): string {
  if (privateBytes === undefined) return '?';
  const text = bytesText(privateBytes);
  if (memory === 'hard') return colors.red(text);
  return memory === 'soft' ? colors.yellow(text) : text;
}

function laneCells({ lane, state, waiting, lagMs, rate }: LaneRow): string[] {
  return [
    lane,
    state === undefined ? '?' : colorOf(state)(state),
    waiting === undefined ? '?' : whole(waiting),
    lagMs === undefined ? '?' : duration(lagMs),
    rate === undefined ? '?' : whole(rate),
  ];
}
