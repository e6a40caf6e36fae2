/** One line of `engram doctor`. */
export interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'failure';
  readonly found: string;
  /** What to do about it; of all that are not ok. */
  readonly advice?: string;
}

export function ok(name: string, found: string): Check {
  return { name, state: 'ok', found };
}

export function warning(name: string, found: string, advice: string): Check {
  return { name, state: 'warning', found, advice };
}

export function failure(name: string, found: string, advice: string): Check {
  return { name, state: 'failure', found, advice };
}

/** The worst of some checks. */
export function verdictOf(checks: readonly Check[]): Check['state'] {
  const states = new Set(checks.map(({ state }) => state));
  return (['failure', 'warning'] as const).find((state) => states.has(state)) ?? 'ok';
}
