/** The reason that a service gave for its end, and what can be done about it. */
export interface LastWords {
  readonly message: string;
  readonly hint: string | undefined;
}

/** Of pino: `fatal`, which services log as they end. */
const FATAL_LEVEL = 60;

/**
 * The last fatal line of a log of JSON, where it has a code to be explained by. Undefined for others, and for
 * other output, which then is shown as it is.
 */
export function lastWords(tail: string): LastWords | undefined {
  return tail
    .split('\n')
    .flatMap((line) => fatalOf(line) ?? [])
    .at(-1);
}

function fatalOf(line: string): LastWords | undefined {
  const { level, err } = Object(parsed(line)) as Readonly<Record<string, unknown>>;
  const { message, code, hint } = Object(err) as Readonly<Record<string, unknown>>;
  if (level !== FATAL_LEVEL || typeof message !== 'string' || typeof code !== 'string')
    return undefined;
  return { message: `${message} (${code})`, hint: typeof hint === 'string' ? hint : undefined };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // not of the logger
  }
}
