import { setPriority } from 'node:os';

/** Has the thread that calls give way to others, from 0 to 19; on Linux only, where threads have a priority. */
export function giveWay(niceness: number): void {
  // Linux takes 0 for this thread alone; elsewhere it would be the whole process.
  if (process.platform === 'linux') setPriority(0, niceness);
}
