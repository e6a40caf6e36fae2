// A cluster of ours beside what a user could take instead, in turn in one run.

import type { Figure } from '../figures/figure.ts';
import type { Group, GroupContext, GroupReport, ReportTable } from '../group.ts';
import { chroma } from '../peers/chroma.ts';
import { engram } from '../peers/engram.ts';
import { figuresOf, goalsOf, goalTable } from '../peers/goals.ts';
import { lancedb, sqliteVec } from '../peers/libraries.ts';
import { measured, type Measured } from '../peers/measure.ts';
import type { Peer } from '../peers/peer.ts';
import { postgres } from '../peers/postgres.ts';
import { redisDefault, redisFast } from '../peers/redis.ts';
import { sideTables, type Side } from '../peers/tables.ts';
import { clustered, words, type Vectors } from '../vectors.ts';

const OTHERS: readonly Peer[] = [redisFast, redisDefault, chroma, postgres, lancedb, sqliteVec];

const DIMENSION = 768;
const ROWS = 10_000;
const QUICK_WORDS = 800;
const QUICK_ROWS = 300;
const EFFORT = { searchMs: 1_000, triedQueries: 200, warmUpMs: 500, isRested: true };
/** A checkpoint of ours may come half a minute later. */
const QUICK_EFFORT = { searchMs: 100, triedQueries: 40, warmUpMs: 50, isRested: false };
/** Times as many observations per CPU-second as the fastest server. */
const WRITES_GOAL = { words: 2, clustered: 3 };

export const peers: Group = {
  name: 'peers',
  title: 'a cluster beside Redis, pgvector, LanceDB, sqlite-vec and Chroma',
  run,
};

interface DataSet {
  readonly short: string;
  readonly vectors: Vectors;
  readonly writesGoal: number;
}

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, signal } = context;
  const narrow = await words(
    isQuick ? Math.min(QUICK_WORDS, context.words) : context.words,
    signal,
  );
  const wide = await clustered(isQuick ? QUICK_ROWS : ROWS, DIMENSION, signal);
  const sets: readonly DataSet[] = [
    { short: 'words', vectors: narrow, writesGoal: WRITES_GOAL.words },
    { short: 'clustered', vectors: wide, writesGoal: WRITES_GOAL.clustered },
  ];
  const tables: ReportTable[] = [];
  const figures: Figure[] = [];
  const data: Record<string, object> = {};
  for (const { short, vectors, writesGoal } of sets) {
    const [ours, ...others] = await measureAll(context, vectors);
    const title = `${vectors.count} × ${vectors.name}`;
    tables.push(...sideTables(title, vectors.count, [ours!, ...others]));
    tables.push(goalTable(title, goalsOf(writesGoal), ours!, others));
    figures.push(...figuresOf(short, ours!, others));
    data[short] = [ours!, ...others].map(({ peer: { name }, runs, absence }) => ({
      name,
      runs,
      absence,
    }));
  }
  return { tables, notes: notes(), figures, data };
}

/** All sides in turn, so that what the machine does besides is shared by them. */
async function measureAll(context: GroupContext, vectors: Vectors): Promise<readonly Side[]> {
  const { isQuick, progress, repetitions, servers, signal } = context;
  const all = [engram, ...OTHERS];
  const runs = new Map<Peer, Measured[]>(all.map((peer) => [peer, []]));
  const absences = new Map(all.map((peer) => [peer, peer.absence()]));
  for (let i = 0; i < repetitions; i++)
    for (const peer of all) {
      const isFirst = i === 0;
      if (absences.get(peer) !== undefined || (!isFirst && !peer.isRepeated)) continue;
      progress(`${vectors.name}, ${peer.name}, ${i + 1} of ${repetitions}`);
      // The first is killed with what it has; the others have the time to write once more.
      const ends = { isKilled: isFirst, isWrittenAgain: !isFirst };
      const effort = { ...(isQuick ? QUICK_EFFORT : EFFORT), ...ends };
      runs.get(peer)!.push(await measured(peer, { servers, signal, vectors }, effort));
    }
  return all.map((peer) => ({ peer, runs: runs.get(peer)!, absence: absences.get(peer) }));
}

function notes(): readonly string[] {
  return [
    ...[engram, ...OTHERS].map((peer) => `${peer.name}: ${peer.absence() ?? peer.terms}`),
    'DuckDB vss: absent: its extension is in no package',
    'a CPU-second is one of everything that is used: the processes of the side and the client',
    'memory: grown since it was started and empty, by PSS; disk: blocks of the files',
    'rested: after what it does now and then by itself, a checkpoint of ours, BGREWRITEAOF of Redis, CHECKPOINT of PostgreSQL',
  ];
}
