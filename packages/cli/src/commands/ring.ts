import type { RingMove, RingStatus } from '@engram/client';
import { duration, numberRanges } from '@engram/diagnosis';
import Table from 'cli-table3';
import { Command } from 'commander';
import {
  apiKeyFileOption,
  clientFor,
  type GatewayOptions,
  jsonOption,
  printJson,
  reporting,
  urlOption,
} from '../output.ts';
import { shown } from '../printable.ts';
import { ringPlanCommand } from './ring-plan.ts';

interface Options extends GatewayOptions {
  readonly json?: boolean;
}

/** `engram ring [plan]` */
export function ringCommand(): Command {
  return new Command('ring')
    .description('show which shard owns which partitions and what moves, or plan a change')
    .addCommand(showCommand(), { isDefault: true })
    .addCommand(ringPlanCommand())
    .addHelpText(
      'after',
      `
Examples:
  $ engram ring
  $ engram ring plan --add 1
  $ engram ring plan --remove shard-2 --json`,
    );
}

function showCommand(): Command {
  return new Command('show')
    .description('show members, owners and the moves under way')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .action(
      reporting(async ({ json, ...gateway }: Options) => {
        const ring = await clientFor(gateway).ring();
        if (json === true) printJson(ring);
        else console.log(ringText(shown(ring)));
      }),
    );
}

function ringText(ring: RingStatus): string {
  const { cluster, epoch, partitionCount, replication } = ring;
  const head = `${cluster}   epoch ${epoch}   ${partitionCount} partitions   replication ${replication}`;
  return [head, memberTable(ring), ownerTable(ring), movesText(ring)].join('\n');
}

const STYLE = { style: { head: [], border: [], compact: true } };

function memberTable({ members }: RingStatus): string {
  const table = new Table({
    ...STYLE,
    head: ['member', 'role', 'state', 'owns', 'held', 'ready', 'lag', 'url'],
    colAligns: ['left', 'left', 'left', 'right', 'right', 'right', 'right', 'left'],
  });
  for (const { id, role, state, owned, held, ready, lag, url } of members)
    table.push([id, role, state, owned, held, ready, lag, url].map((value) => value ?? ''));
  return table.toString();
}

function ownerTable({ members, partitions }: RingStatus): string {
  const table = new Table({ ...STYLE, head: ['shard', 'partitions'] });
  for (const { id, role } of members) {
    if (role !== 'shard') continue;
    const own = partitions.filter(({ owners }) => owners.includes(id));
    table.push([id, numberRanges(own.map(({ partition }) => partition))]);
  }
  return table.toString();
}

function movesText({ moves }: RingStatus): string {
  if (moves.length === 0) return 'Nothing moves.';
  const table = new Table({
    ...STYLE,
    head: ['from', 'to', 'partitions', 'read', 'left'],
    colAligns: ['left', 'left', 'left', 'right', 'right'],
  });
  for (const group of groupsOf(moves)) {
    const [{ from, to, percent, leftMs }] = group;
    table.push([
      from ?? '(a copy more)',
      to,
      numberRanges(group.map(({ partition }) => partition)),
      percent === null ? '?' : `${percent} %`,
      leftMs === null ? '?' : duration(leftMs),
    ]);
  }
  return table.toString();
}

/** What a shard takes over from another at one time it reads at one time. */
function groupsOf(moves: readonly RingMove[]): [RingMove, ...RingMove[]][] {
  const groups = new Map<string, [RingMove, ...RingMove[]]>();
  for (const move of moves) {
    const key = JSON.stringify([move.from, move.to, move.percent, move.leftMs]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [move]);
    else group.push(move);
  }
  return [...groups.values()];
}
