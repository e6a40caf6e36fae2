/** Each of these settings of a gateway says who may come. */
const OF_CALLERS = [
  'ENGRAM_API_KEYS',
  'ENGRAM_API_KEYS_FILE',
  'ENGRAM_JWT_JWKS_URL',
  'ENGRAM_JWT_JWKS_FILE',
  'ENGRAM_JWT_SECRET_FILE',
] as const;

type AuthSettings = Readonly<
  Partial<Record<'ENGRAM_AUTH' | (typeof OF_CALLERS)[number], string | undefined>>
>;

/** What commands take, and services do not: it may stand in the same environment. */
export const OF_COMMANDS: ReadonlySet<string> = new Set(['ENGRAM_URL', 'ENGRAM_API_KEY']);

/**
 * Whether callers must say who they are: where somebody can, unless that is switched off. Undefined
 * where nothing is said of it. Takes an environment as well as settings that were read from one.
 */
export function wantsCredentials(settings: AuthSettings): boolean | undefined {
  if (settings.ENGRAM_AUTH === 'off') return false;
  return OF_CALLERS.some((name) => settings[name] !== undefined) ? true : undefined;
}
