// What a JSON Web Token must be to be taken, and where the keys come from that it is checked with.

import { z } from 'zod';

const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const;
const ELLIPTIC = ['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const;
const SECRET = ['HS256', 'HS384', 'HS512'] as const;
const ALGORITHMS = [...ASYMMETRIC, ...ELLIPTIC, ...SECRET];

export const tokenShape = {
  ENGRAM_JWT_JWKS_URL: z
    .url({ protocol: /^https?$/ })
    .refine(isSafeToFetch, 'must begin with https:// (http:// only on loopback)')
    .optional(),
  ENGRAM_JWT_JWKS_FILE: z.string().min(1).optional(),
  ENGRAM_JWT_SECRET_FILE: z.string().min(1).optional(),
  ENGRAM_JWT_ISSUER: z.string().min(1).optional(),
  ENGRAM_JWT_AUDIENCE: z.string().min(1).optional(),
  ENGRAM_JWT_ALGORITHMS: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(z.enum(ALGORITHMS)))
    .optional(),
  ENGRAM_JWT_SCOPES_CLAIM: z
    .string()
    .regex(/^[A-Za-z0-9_.:/-]{1,200}$/)
    .default('engram'),
  ENGRAM_JWT_CLOCK_TOLERANCE_MS: z
    .string()
    .regex(/^\d{1,6}$/, 'must be a whole number in digits')
    .transform(Number)
    .pipe(z.number().max(300_000))
    .default(30_000),
};

type Shape = z.output<z.ZodObject<typeof tokenShape>>;

/** How tokens are checked. */
export interface TokenSettings {
  readonly source:
    | { readonly kind: 'url'; readonly url: string }
    | { readonly kind: 'file' | 'secret'; readonly path: string };
  readonly issuer: string;
  readonly audience: string;
  /** Never of a secret and of public keys together: a public key must not be taken for a secret. */
  readonly algorithms: readonly string[];
  readonly scopesClaim: string;
  readonly clockToleranceMs: number;
}

/** Undefined where no tokens are taken. For settings of which `tokenProblems` finds nothing. */
export function tokenSettings(settings: Shape): TokenSettings | undefined {
  const [source] = sourcesOf(settings);
  const { ENGRAM_JWT_ISSUER: issuer, ENGRAM_JWT_AUDIENCE: audience } = settings;
  if (source === undefined || issuer === undefined || audience === undefined) return undefined;
  return {
    source,
    issuer,
    audience,
    algorithms: settings.ENGRAM_JWT_ALGORITHMS ?? defaultsFor(source.kind),
    scopesClaim: settings.ENGRAM_JWT_SCOPES_CLAIM,
    clockToleranceMs: settings.ENGRAM_JWT_CLOCK_TOLERANCE_MS,
  };
}

/** What is wrong with the settings about tokens, each under the name of one of them. */
export function tokenProblems(settings: Shape): string[] {
  const [source, ...others] = sourcesOf(settings);
  const { ENGRAM_JWT_ISSUER: issuer, ENGRAM_JWT_AUDIENCE: audience } = settings;
  const names = 'ENGRAM_JWT_JWKS_URL, ENGRAM_JWT_JWKS_FILE or ENGRAM_JWT_SECRET_FILE';
  if (source === undefined)
    return issuer === undefined && audience === undefined
      ? []
      : [`ENGRAM_JWT_ISSUER: tokens need ${names} too`];
  const problems: string[] = [];
  if (others.length > 0) problems.push(`ENGRAM_JWT_JWKS_URL: give one of ${names}`);
  if (issuer === undefined)
    problems.push('ENGRAM_JWT_ISSUER: tokens need one, the iss that they have');
  if (audience === undefined)
    problems.push('ENGRAM_JWT_AUDIENCE: tokens need one, the aud that they have');
  const allowed: readonly string[] =
    source.kind === 'secret' ? SECRET : [...ASYMMETRIC, ...ELLIPTIC];
  const wrong = settings.ENGRAM_JWT_ALGORITHMS?.find((each) => !allowed.includes(each));
  if (wrong !== undefined)
    problems.push(`ENGRAM_JWT_ALGORITHMS: ${wrong} does not go with keys of this kind`);
  return problems;
}

function sourcesOf(settings: Shape): TokenSettings['source'][] {
  const { ENGRAM_JWT_JWKS_URL: url, ENGRAM_JWT_JWKS_FILE: file } = settings;
  const secret = settings.ENGRAM_JWT_SECRET_FILE;
  return [
    ...(url === undefined ? [] : [{ kind: 'url', url } as const]),
    ...(file === undefined ? [] : [{ kind: 'file', path: file } as const]),
    ...(secret === undefined ? [] : [{ kind: 'secret', path: secret } as const]),
  ];
}

/** What providers use nowadays. */
function defaultsFor(kind: TokenSettings['source']['kind']): readonly string[] {
  return kind === 'secret' ? ['HS256'] : ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];
}

/** Whoever can change the keys on their way can make any token. */
function isSafeToFetch(text: string): boolean {
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || ['127.0.0.1', 'localhost', '[::1]'].includes(hostname);
}
