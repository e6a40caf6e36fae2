import { EngramClient, type LimitedTenant } from '@engram/client';
import { counted, type Pressure, refusedText, silentText } from '@engram/diagnosis';
import { ClusterError } from '@engram/model';
import { isRunning, readClusterState, type ClusterState } from '@engram/local-cluster';
import Table from 'cli-table3';
import { Command, Option } from 'commander';
import colors from 'picocolors';
import { failureLine, invocation, warningLine } from '../format.ts';
import { dataOption, DEFAULT_DATA } from '../local-url.ts';
import { localState, silentMembers } from '../local-members.ts';
import { shown } from '../printable.ts';
import { colouredPressure } from '../pressure.ts';
import {
  apiKeyFileOption,
  apiKeyOf,
  checkUrl,
  EXIT,
  isDenied,
  isNoGateway,
  jsonOption,
  printJson,
  printNote,
  reporting,
  sentence,
} from '../output.ts';

interface Options {
  readonly data: string;
  readonly url?: string;
  readonly apiKeyFile?: string;
  readonly json?: boolean;
}

/** A gateway of another version may leave out more than `ClusterStatus` says. */
interface ClusterView {
  readonly cluster?: string;
  readonly epoch?: number;
  readonly partitionCount?: number;
  readonly replication?: number;
  readonly members?: readonly MemberView[];
  readonly partitions?: readonly {
    readonly ready?: boolean;
    readonly owners?: readonly string[];
    readonly readyOwners?: number;
  }[];
  readonly degraded?: boolean;
  readonly reasons?: readonly string[];
  readonly limited?: readonly Partial<LimitedTenant>[];
}

interface MemberView {
  readonly id: string;
  readonly role?: string;
  readonly state?: string;
  readonly url?: string;
  readonly pid?: number;
  readonly partitions?: number;
  readonly ready?: number;
  readonly lag?: number;
  readonly replication?: number;
  /** Of a shard: normal, soft or hard. */
  readonly memory?: string;
  readonly pressure?: Pressure;
}

type Verdict =
  | 'healthy'
  | 'degraded'
  | 'starting'
  | 'denied'
  | 'no gateway'
  | 'wrong port'
  | 'unreachable'
  | 'not running';

const TIMEOUT_MS = 5_000;

/** `engram status` */
export function statusCommand(): Command {
  return new Command('status')
    .description('show the cluster and its members')
    .option('--data <dir>', 'folder of the data of a cluster on this machine', DEFAULT_DATA)
    .addOption(new Option('--url <url>', 'a gateway of any cluster').env('ENGRAM_URL'))
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Exit code: 0 healthy, 1 not running, starting, not reachable or no gateway, 2 wrong usage,
3 degraded, 4 a gateway is there and wants a key with the scope *:admin.

Examples:
  $ engram status
  $ engram status --url http://127.0.0.1:8000 --json`,
    )
    .action(
      reporting((options: Options, command: Command) => {
        // A folder that was typed means more than a URL that the environment happens to hold.
        const isTyped = (name: string) => command.getOptionValueSource(name) === 'cli';
        const { url: _environment, ...rest } = options;
        return showStatus(isTyped('data') && !isTyped('url') ? rest : options);
      }),
    );
}

/** Prints the status and sets the exit code that goes with it. */
export async function showStatus({ data, url, apiKeyFile, json }: Options): Promise<void> {
  if (url !== undefined) checkUrl(url);
  const state = url === undefined ? readClusterState(data) : undefined;
  const own = state?.members.flatMap((each) => (each.role === 'gateway' ? (each.url ?? []) : []));
  const gateways = url === undefined ? (own ?? []) : [url];
  const view = gateways.length === 0 ? undefined : await ask(gateways, apiKeyOf({ apiKeyFile }));
  const failed = view instanceof Error ? view : undefined;
  const failure = failed === undefined ? undefined : failureText(failed);
  const cluster = view instanceof Error ? undefined : view;
  const verdict = verdictOf(state, cluster, failed);
  process.exitCode = exitCodeOf(verdict);
  const members = mergedMembers(state, cluster);
  if (json === true) {
    printJson({ verdict, urls: gateways, failure, ...cluster, members, local: state });
    return;
  }
  if (verdict === 'not running') {
    const folder = dataOption(data);
    const left = state?.members.filter(isRunning).length ?? 0;
    if (left > 0) {
      const told = `${counted(left, 'process')} of a killed cluster still run`;
      printNote(`${told} on ${data}. End them with: ${invocation()} down${folder}`);
    } else printNote(`No cluster runs on ${data}. Start one with: ${invocation()} up${folder}`);
    return;
  }
  const told = shown({ cluster, members });
  console.log(headline(verdict, gateways.join(' '), told.cluster));
  if (members.length > 0) console.log(tableOf(told.members));
  if (state !== undefined)
    console.log(
      colors.dim(`supervisor ${state.supervisor.pid}, up since ${state.since}, data in ${data}`),
    );
  for (const reason of told.cluster?.reasons ?? []) printNote(warningLine(reason));
  if (cluster !== undefined)
    for (const member of silentMembers(state, cluster.members))
      printNote(warningLine(`${silentText(member)}: look at its log`));
  for (const limited of told.cluster?.limited ?? []) printNote(limitedText(limited));
  const differing = differingText(told.members, told.cluster);
  if (differing !== undefined) printNote(warningLine(differing));
  if (failure !== undefined) printNote(failureLine(failure));
}

/** The first gateway that answers. */
async function ask(
  url: readonly string[],
  apiKey: string | undefined,
): Promise<ClusterView | Error> {
  try {
    const client = new EngramClient({ url, apiKey, retries: 0, timeoutMs: TIMEOUT_MS });
    return await client.cluster();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function failureText(failed: Error): string {
  const wanted = isDenied(failed) ? 'the gateway is there and wants a key with *:admin: ' : '';
  return `${wanted}${sentence(failed)}`;
}

function verdictOf(
  state: ClusterState | undefined,
  cluster: ClusterView | undefined,
  failed: Error | undefined,
): Verdict {
  if (failed === undefined && cluster === undefined)
    return state !== undefined && isRunning(state.supervisor) ? 'starting' : 'not running';
  if (isDenied(failed)) return 'denied';
  if (cluster === undefined) {
    if (state !== undefined && !isRunning(state.supervisor)) return 'not running';
    if (isNoGateway(failed)) return 'no gateway';
    // A gateway with a port for operators serves them nowhere else.
    const isNoRoute = failed instanceof ClusterError && failed.code === 'ROUTE_NOT_FOUND';
    return isNoRoute ? 'wrong port' : 'unreachable';
  }
  const isMissing = state?.members.some((member) => localState(member) !== 'running') ?? false;
  const hasSilent = silentMembers(state, cluster.members).length > 0;
  return cluster.degraded === true || isMissing || hasSilent ? 'degraded' : 'healthy';
}

function exitCodeOf(verdict: Verdict): number {
  switch (verdict) {
    case 'healthy':
      return EXIT.ok;
    case 'degraded':
      return EXIT.partial;
    case 'denied':
      return EXIT.denied;
    case 'starting':
    case 'no gateway':
    case 'wrong port':
    case 'unreachable':
    case 'not running':
      return EXIT.failure;
  }
}

/** The cluster's own view, and what this machine knows beside it: pids, NATS and Redis. */
function mergedMembers(
  state: ClusterState | undefined,
  cluster: ClusterView | undefined,
): MemberView[] {
  const merged = new Map<string, MemberView>();
  for (const member of state?.members ?? []) {
    const { id, role, pid, url } = member;
    const seen = { id, role, pid, state: localState(member) };
    merged.set(id, url === undefined ? seen : { ...seen, url });
  }
  for (const member of cluster?.members ?? []) {
    const local = merged.get(member.id);
    // The cluster notices an end only when the member's lease is over.
    const isGone = local !== undefined && local.state !== 'running';
    merged.set(member.id, { ...local, ...member, ...(isGone ? { state: local.state } : {}) });
  }
  const rank = (role = ''): number => ['gateway', 'shard', 'nats', 'redis'].indexOf(role);
  return [...merged.values()].sort(
    (left, right) =>
      rank(left.role) - rank(right.role) ||
      left.id.localeCompare(right.id, 'en', { numeric: true }),
  );
}

function headline(verdict: Verdict, url = '', cluster: ClusterView = {}): string {
  const color =
    { healthy: colors.green, degraded: colors.yellow, denied: colors.yellow }[verdict as string] ??
    colors.red;
  const { partitions, partitionCount } = cluster;
  const ready = partitions?.filter((partition) => partition.ready === true).length;
  const parts = [
    color(verdict),
    cluster.cluster,
    url,
    cluster.epoch === undefined ? undefined : `epoch ${cluster.epoch}`,
    partitionCount === undefined
      ? undefined
      : `${ready === undefined ? '' : `${ready} of `}${partitionCount} partitions ready`,
    copiesText(cluster),
  ];
  return parts.filter((part) => part !== undefined && part !== '').join('   ');
}

/** Where there is more than one copy of each partition: how many are ready. */
function copiesText({ replication = 1, partitions = [] }: ClusterView): string | undefined {
  if (replication === 1) return undefined;
  const wanted = partitions.reduce((sum, { owners = [] }) => sum + owners.length, 0);
  const ready = partitions.reduce((sum, { readyOwners = 0 }) => sum + readyOwners, 0);
  return `replication ${replication}, ${ready} of ${wanted} copies ready`;
}

function limitedText(limited: Partial<LimitedTenant>): string {
  const { cause, refused, since } = limited;
  return colors.dim(
    `limited: ${refusedText(limited)}, refused ${refused} times since ${since} (${cause})`,
  );
}

/** Members whose settings ask for another number of copies than what counts. */
function differingText(
  members: readonly MemberView[],
  { replication: counts }: ClusterView = {},
): string | undefined {
  if (!members.some(({ role }) => role === 'shard')) return undefined; // nothing counts yet
  const differing = members
    .filter(({ replication = counts }) => replication !== counts)
    .map(({ id, replication }) => `${id} has ${replication}`);
  if (differing.length === 0) return undefined;
  return `ENGRAM_REPLICATION differs: ${differing.join(', ')}; ${counts}, the most of any shard, counts`;
}

function tableOf(members: readonly MemberView[]): string {
  const table = new Table({
    head: ['member', 'role', 'state', 'pid', 'owns', 'ready', 'lag', 'pressure', 'memory', 'url'],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
    colAligns: [
      ...(['left', 'left', 'left', 'right', 'right', 'right', 'right'] as const),
      ...(['left', 'left', 'left'] as const),
    ],
  });
  for (const { id, role, state, pid, partitions, ready, lag, pressure, memory, url } of members) {
    const load = [lag, colouredPressure(pressure), memoryText(memory)];
    table.push([id, role, state, pid, partitions, ready, ...load, url].map((value) => value ?? ''));
  }
  return table.toString();
}

function memoryText(memory: string | undefined): string | undefined {
  if (memory === 'soft') return colors.yellow('short');
  return memory === 'hard' ? colors.red('at its limit') : memory;
}
