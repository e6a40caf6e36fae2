// How hard pressed a shard is, in a few words, for every command that shows it.

import type { ClusterMember } from '@engram/client';
import { LANES, type Lane } from '@engram/model';
import colors from 'picocolors';

export type Pressure = NonNullable<ClusterMember['pressure']>;

/** `normal`, `low critical`, `low, normal overloaded`, `normal, low stalled`; a gateway may leave it out. */
export function pressureText(pressure: Pressure | undefined): string | undefined {
  if (pressure === undefined) return undefined;
  const byState = new Map<string, Lane[]>();
  for (const lane of LANES) {
    const state = stateOf(pressure[lane]);
    if (state !== 'normal') byState.set(state, [...(byState.get(state) ?? []), lane]);
  }
  if (byState.size === 0) return 'normal';
  return [...byState]
    .map(([state, lanes]) => colorOf(state)(`${lanes.join(', ')} ${state}`))
    .join('; ');
}

/** Whether any lane is. */
export function isPressed(pressure: Pressure): boolean {
  return LANES.some((lane) => stateOf(pressure[lane]) !== 'normal');
}

/** A level, or `stalled` where entries wait and nobody works at them. */
export function stateOf({ level, cause }: Pressure[Lane]): string {
  return cause === 'stalled' ? cause : level;
}

export function colorOf(state: string): (text: string) => string {
  if (state === 'stalled' || state === 'overloaded') return colors.red;
  return state === 'normal' ? (text) => text : colors.yellow;
}
