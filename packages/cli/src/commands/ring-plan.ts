import type { RingStatus } from '@engram/client';
import { counted, numberRanges } from '@engram/diagnosis';
import { isToken, type MemberId } from '@engram/model';
import { planMoves, type Placed, type RingPlan } from '@engram/ring';
import Table from 'cli-table3';
import { Command } from 'commander';
import { warningLine } from '../format.ts';
import {
  apiKeyFileOption,
  clientFor,
  type GatewayOptions,
  jsonOption,
  printJson,
  printNote,
  reporting,
  urlOption,
  UsageError,
} from '../output.ts';
import { shown } from '../printable.ts';

interface Options extends GatewayOptions {
  readonly add?: readonly string[];
  readonly remove?: readonly string[];
  readonly json?: boolean;
}

interface Change {
  readonly before: Placed;
  readonly after: Placed;
  /** Ids that stand for members whose ids are not known yet. */
  readonly madeUp: readonly string[];
}

/** More at one time is a mistake. */
const ADDED_MAX = 64;
const ADD_TAKES = `--add takes ids, or a number from 1 to ${ADDED_MAX}`;

/** `engram ring plan`: what would move, computed here and moving nothing. */
export function ringPlanCommand(): Command {
  return new Command('plan')
    .description('compute what would move if shards joined or left; nothing moves')
    .option('--add <ids...>', 'shards that join: their ids, or how many')
    .option('--remove <ids...>', 'shards that leave')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
The owners follow from the ids of the shards. Of shards that are only counted the ids are made up
(new-1), so the plan says how much moves, but not exactly what.

Examples:
  $ engram ring plan --add 1
  $ engram ring plan --add shard-4 shard-5
  $ engram ring plan --remove shard-2`,
    )
    .action(
      reporting(async ({ add = [], remove = [], json, ...gateway }: Options) => {
        if (add.length === 0 && remove.length === 0)
          throw new UsageError('give --add, --remove or both');
        const ring = await clientFor(gateway).ring();
        const change = changeOf(ring, add, remove);
        const plan = planMoves(change.before, change.after, ring.partitionCount);
        if (json === true) printJson({ ...change, partitionCount: ring.partitionCount, ...plan });
        else console.log(planText(shown(change), shown(plan), shown(ring.partitionCount)));
        if (change.madeUp.length > 0)
          printNote(
            warningLine(`${change.madeUp.join(', ')}: made up; the real ids decide what moves`),
          );
      }),
    );
}

/** @throws UsageError for shards that cannot join or leave */
function changeOf(
  { members, replication }: RingStatus,
  add: readonly string[],
  remove: readonly string[],
): Change {
  const shards = members
    .filter(({ role, state }) => role === 'shard' && state === 'active')
    .map(({ id }) => id);
  const known = new Set(members.map(({ id }) => id));
  const isCounted = add.length === 1 && /^\d+$/.test(add[0]!);
  if (add.some((id) => /^-\d+$/.test(id))) throw new UsageError(ADD_TAKES);
  const added = isCounted ? madeUpIds(Number(add[0]), known) : [...new Set(add)];
  const [taken] = added.filter((id) => known.has(id));
  if (taken !== undefined) throw new UsageError(`there is a member ${taken} already`);
  const wrong = added.find((id): boolean => !isToken(id));
  if (wrong !== undefined)
    throw new UsageError(`${wrong} cannot be an id: it has 1 to 64 of A-Z a-z 0-9 _ -`);
  for (const id of remove)
    if (!shards.includes(id))
      throw new UsageError(`${id} is not among the shards ${shards.join(', ')}`);
  const after = [...shards.filter((id) => !remove.includes(id)), ...added];
  if (after.length === 0)
    throw new UsageError('no shard would be left, and nobody would have the partitions');
  const placed = (ids: readonly string[]): Placed => ({
    shards: ids as readonly MemberId[],
    replication,
  });
  return { before: placed(shards), after: placed(after), madeUp: isCounted ? added : [] };
}

/** @throws UsageError */
function madeUpIds(count: number, known: ReadonlySet<string>): string[] {
  if (count < 1 || count > ADDED_MAX) throw new UsageError(ADD_TAKES);
  const ids: string[] = [];
  for (let i = 1; ids.length < count; i++) if (!known.has(`new-${i}`)) ids.push(`new-${i}`);
  return ids;
}

function planText({ before, after }: Change, plan: RingPlan, partitionCount: number): string {
  const { moves, moving, ideal, loads } = plan;
  const shards = `from ${counted(before.shards.length, 'shard')} to ${after.shards.length}`;
  const copies = partitionCount * Math.min(after.replication, after.shards.length);
  const lines = [
    `${shards}   ${partitionCount} partitions   replication ${after.replication}`,
    `${moving} of ${copies} copies are read by another shard; ideal is ${ideal.toFixed(1)}`,
  ];
  const style = { style: { head: [], border: [], compact: true } };
  if (moves.length > 0) {
    const table = new Table({ ...style, head: ['from', 'to', 'count', 'partitions'] });
    for (const { from, to, partitions } of moves)
      table.push([from ?? '(a copy more)', to, partitions.length, numberRanges(partitions)]);
    lines.push(table.toString());
  }
  const table = new Table({
    ...style,
    head: ['shard', 'partitions now', 'then'],
    colAligns: ['left', 'right', 'right'],
  });
  for (const load of loads) table.push([load.id, load.before, load.after]);
  lines.push(table.toString());
  return lines.join('\n');
}
