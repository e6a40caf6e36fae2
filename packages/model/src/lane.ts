/** Priority lanes, highest first. The index of a lane in this list is its rank. */
export const LANES = ['high', 'normal', 'low'] as const;

export type Lane = (typeof LANES)[number];

export const DEFAULT_LANE: Lane = 'normal';

export function isLane(value: unknown): value is Lane {
  return value === 'high' || value === 'normal' || value === 'low';
}

/** A value for each lane. */
export type PerLane<T> = Readonly<Record<Lane, T>>;

export function perLane<T>(make: (lane: Lane) => T): Record<Lane, T> {
  return { high: make('high'), normal: make('normal'), low: make('low') };
}
