/** The reason that a service gave for its end, and what can be done about it. */
export interface LastWords {
  readonly message: string;
  readonly hint: string | undefined;
}

/** Of pino (`fatal`, which services log as they end). */
const FATAL_LEVEL = 60;

/** The last fatal line of a log of JSON; undefined for other output, which then is shown as it is. */
export function lastWords(tail: string): LastWords | undefined {
  for (const line of tail.split('\n').toReversed()) {
    const { level, err } = Object(parsed(line)) as { readonly level?: unknown; err?: unknown };
    const { message, hint } = Object(err) as { readonly message?: unknown; hint?: unknown };
    if (level === FATAL_LEVEL && typeof message === 'string')
      return { message, hint: typeof hint === 'string' ? hint : undefined };
  }
  return undefined;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // not of the logger
  }
}
