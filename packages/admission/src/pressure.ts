// How hard pressed something is, from one number: how full it is, as a share of what it may hold.
//
//   B1. Up at once: a level is as high as the fill says, from the first moment that it says so.
//   B2. Down after a grace: only once the fill has stayed below the level for that long, and then no
//       lower than the highest that it was meanwhile. So a fill that swings about a limit does not flap.

export const PRESSURES = ['normal', 'warning', 'critical', 'overloaded'] as const;
export type Pressure = (typeof PRESSURES)[number];

/** A level begins at this fill. */
export const PRESSURE_FROM = {
  normal: 0,
  warning: 0.5,
  critical: 0.85,
  overloaded: 0.95,
} as const satisfies Record<Pressure, number>;

export interface PressureState {
  readonly level: Pressure;
  /** Since when the fill has been below the level, and the highest that it was since. */
  readonly below?: { readonly sinceMs: number; readonly highest: Pressure };
}

export const NO_PRESSURE: PressureState = { level: 'normal' };

/** The level of a fill by itself; a fill that is no number counts as full. */
export function pressureOf(fill: number): Pressure {
  return PRESSURES.findLast((level) => !(fill < PRESSURE_FROM[level])) ?? 'normal';
}

/** Whether a level is as high as another one, or higher. */
export function isAtLeast(level: Pressure, other: Pressure): boolean {
  return PRESSURES.indexOf(level) >= PRESSURES.indexOf(other);
}

export function nextPressure(
  state: PressureState,
  fill: number,
  nowMs: number,
  graceMs: number,
): PressureState {
  const told = pressureOf(fill);
  if (isAtLeast(told, state.level)) return { level: told }; // B1
  const { sinceMs = nowMs, highest = told } = state.below ?? {};
  const below = { sinceMs, highest: isAtLeast(told, highest) ? told : highest };
  if (nowMs - sinceMs < graceMs) return { level: state.level, below }; // B2
  return { level: below.highest };
}
