// What processes use of the machine, by Linux' /proc (proc(5)).

import { readFileSync } from 'node:fs';

/** Ticks a second of the times in /proc/PID/stat: fixed for programs, whatever the kernel counts in. */
const TICKS_PER_S = 100;
/** Places of utime and stime behind the name, which may hold spaces. */
const UTIME = 11;
const STIME = 12;
const KIB = 1_024;

/** Processor time of the processes together, all of their threads, in milliseconds. */
export function cpuMsOf(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[UTIME]) + Number(fields[STIME]);
  }
  return (ticks * 1_000) / TICKS_PER_S;
}

/** Their memory in bytes, pages that some share counted in parts (PSS), files that are mapped included. */
export function memoryOf(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids)
    kib += Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1]);
  return kib * KIB;
}
