// The colours of how hard pressed a shard is.

import { pressureText, type Pressure } from '@engram/diagnosis';
import colors from 'picocolors';

export function colorOf(state: string): (text: string) => string {
  if (state === 'stalled' || state === 'overloaded') return colors.red;
  return state === 'normal' ? (text) => text : colors.yellow;
}

/** `normal`, `low critical`, …, each state in its colour; a gateway may leave it out. */
export function colouredPressure(pressure: Pressure | undefined): string | undefined {
  return pressureText(pressure, (state, text) => colorOf(state)(text));
}
