import { readFileSync } from 'node:fs';
import { z } from 'zod';

const count = z.number().int().min(0);

const limit = z.strictObject({
  observationsPerS: count.optional(),
  readsPerS: count.optional(),
  requestsMax: count.optional(),
});

/** How gateways call those who ask; another name would limit nobody. */
const CALLER = /^(key|jwt):./;
const CALLER_FAULT =
  'a caller is key: and the id of its key, or jwt: and the sub of its token, as key:importer';

const schema = z.strictObject({
  spaces: z.record(z.string(), limit).default({}),
  callers: z
    .record(z.string(), limit)
    .superRefine((callers, context) => {
      for (const name of Object.keys(callers))
        if (!CALLER.test(name))
          context.addIssue({ code: 'custom', path: [name], message: CALLER_FAULT });
    })
    .default({}),
});

type NamedLimit = Readonly<z.output<typeof limit>>;

export interface NamedLimits {
  readonly space: ReadonlyMap<string, NamedLimit>;
  readonly caller: ReadonlyMap<string, NamedLimit>;
}

/**
 * Limits of single spaces and callers, over those that hold for all: a JSON object of `spaces` and
 * `callers`, by name `{observationsPerS, readsPerS, requestsMax}`; what is left out is as for all.
 * @throws Error that names the file and every wrong field
 */
export function loadLimits(path: string | undefined): NamedLimits {
  if (path === undefined) return { space: new Map(), caller: new Map() };
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new Error(`ENGRAM_LIMITS_FILE: ${(cause as Error).message}`, { cause });
  }
  const checked = schema.safeParse(parsed);
  if (!checked.success)
    throw new Error(
      `ENGRAM_LIMITS_FILE: ${path}\n  ${checked.error.issues
        .map(({ path: at, message }) => `${at.join('.')}: ${message}`)
        .join('\n  ')}`,
    );
  const { spaces, callers } = checked.data;
  return { space: new Map(Object.entries(spaces)), caller: new Map(Object.entries(callers)) };
}
