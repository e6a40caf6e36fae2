// Who may do what: scopes by patterns of space names. Pure, and the same for keys and tokens.

/** `admin` makes, deletes and repairs spaces, and includes the other two. */
export const SCOPES = ['read', 'write', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/**
 * Scopes by pattern: the name of a space, the beginning of names before a `*`, or `*` for all of them
 * and the cluster itself. What any matching pattern gives is given.
 */
export type Grants = ReadonlyMap<string, ReadonlySet<Scope>>;

/** Stands for the cluster where the name of a space is asked for: only the pattern `*` matches it. */
export const WHOLE_CLUSTER = '*';

const PATTERN = /^(?:[A-Za-z0-9_-]{1,64}|[A-Za-z0-9_-]{0,63}\*)$/;

export function allows(grants: Grants, space: string, scope: Scope): boolean {
  for (const [pattern, scopes] of grants)
    if (matches(pattern, space) && (scopes.has(scope) || scopes.has('admin'))) return true;
  return false;
}

function matches(pattern: string, space: string): boolean {
  return pattern.endsWith('*') ? space.startsWith(pattern.slice(0, -1)) : space === pattern;
}

/**
 * Reads `{"notes": ["read", "write"], "team-*": ["read"]}`.
 * @throws Error that names the pattern or the scope
 */
export function parseGrants(value: unknown, { mayBeEmpty = false } = {}): Grants {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error('scopes must be an object, as {"notes": ["read"]}');
  const grants = new Map<string, ReadonlySet<Scope>>();
  for (const [pattern, scopes] of Object.entries(value) as [string, unknown][]) {
    if (!Array.isArray(scopes) || scopes.length === 0)
      throw new Error(`the scopes of a pattern must be a list of ${SCOPES.join(', ')}`);
    grants.set(parsePattern(pattern), new Set(scopes.map(parseScope)));
  }
  if (grants.size === 0 && !mayBeEmpty) throw new Error('scopes must not be empty');
  return grants;
}

/**
 * Reads `notes:read,write`.
 * @throws Error that says what is wrong with it
 */
export function parseGrant(text: string): readonly [pattern: string, scopes: ReadonlySet<Scope>] {
  const [pattern = '', scopes, ...more] = text.split(':');
  if (scopes === undefined || more.length > 0)
    throw new Error('a scope has the form PATTERN:SCOPE,…, as notes:read,write');
  return [parsePattern(pattern), new Set(scopes.split(',').map(parseScope))];
}

/** A pattern that is given more than once gets all the scopes. */
export function mergeGrants(
  each: Iterable<readonly [pattern: string, scopes: ReadonlySet<Scope>]>,
): Grants {
  const grants = new Map<string, ReadonlySet<Scope>>();
  for (const [pattern, scopes] of each)
    grants.set(pattern, new Set([...(grants.get(pattern) ?? []), ...scopes]));
  return grants;
}

function parsePattern(pattern: string): string {
  if (PATTERN.test(pattern)) return pattern;
  throw new Error('a pattern is the name of a space, the beginning of names as team-*, or *');
}

function parseScope(scope: unknown): Scope {
  const found = SCOPES.find((each) => each === scope);
  if (found !== undefined) return found;
  throw new Error(`a scope is one of ${SCOPES.join(', ')}`);
}
