// Texts of a cluster on the terminal of somebody: a gateway may be hostile, and whoever wrote an
// observation is not the one who looks at it.

/** Control characters but for \n and \t, and those that turn the direction of text. */
const UNSAFE =
  // eslint-disable-next-line no-control-regex -- to find control characters is the purpose
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

/** Escapes as JSON does what would do to the terminal what its author likes. */
export function printable(text: string): string {
  return text.replace(
    UNSAFE,
    (unsafe) => `\\u${unsafe.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The same of every text in an answer, names of fields too; whatever stands where a number should. */
export function shown<T>(answer: T): T {
  return shownValue(answer) as T;
}

function shownValue(value: unknown): unknown {
  if (typeof value === 'string') return printable(value);
  if (Array.isArray(value)) return value.map(shownValue);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [printable(name), shownValue(each)]),
  );
}
