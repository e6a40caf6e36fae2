// How hard pressed a shard is, in a few words, for everything that shows it.

import type { ClusterMember } from '@engram/client';
import { LANES, type Lane } from '@engram/model';

export type Pressure = NonNullable<ClusterMember['pressure']>;

/**
 * `normal`, `low critical`, `low, normal overloaded`, `normal, low stalled`; a gateway may leave it out.
 * @param painted what becomes of the part about a state
 */
export function pressureText(
  pressure: Pressure,
  painted?: (state: string, text: string) => string,
): string;
export function pressureText(
  pressure: Pressure | undefined,
  painted?: (state: string, text: string) => string,
): string | undefined;
export function pressureText(
  pressure: Pressure | undefined,
  painted = (_state: string, text: string): string => text,
): string | undefined {
  if (pressure === undefined) return undefined;
  const byState = new Map<string, Lane[]>();
  for (const lane of LANES) {
    const state = stateOf(pressure[lane]);
    if (state !== 'normal') byState.set(state, [...(byState.get(state) ?? []), lane]);
  }
  if (byState.size === 0) return 'normal';
  return [...byState]
    .map(([state, lanes]) => painted(state, `${lanes.join(', ')} ${state}`))
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
