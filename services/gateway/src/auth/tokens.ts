// JSON Web Tokens of an identity provider. What a token must be is fixed by settings: the algorithms, so
// that it cannot choose one (`none`, or a public key taken for a secret); where the keys come from, so
// that it cannot name a place; issuer and audience, so that it was made for this cluster; an end.

import { readFile } from 'node:fs/promises';
import { mergeGrants, parseGrant, parseGrants, type Grants } from '@engram/access';
import { ClusterError } from '@engram/model';
import type { Clock } from '@engram/runtime';
import type { TokenSettings } from '@engram/runtime/service';
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  jwtVerify,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
} from 'jose';
import { unauthenticated } from './refusal.ts';
import type { Principal } from './principal.ts';

/** A shorter one could be found by trying (RFC 7518, 3.2). */
const SECRET_BYTES_MIN = 32;
const FETCH_TIMEOUT_MS = 5_000;
/** What providers name callers by; safe in logs. */
const SUBJECT = /^[A-Za-z0-9._:@|/+=-]{1,128}$/;
/** Seconds since 1970 that a date can have (ECMA-262, 21.4.1.1). */
const END_MAX = 8.64e12;
/** The provider's fault, not the token's. */
const PROVIDER_FAULTS = new Set(['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID']);

export class Tokens {
  readonly #key: JWTVerifyGetKey;
  readonly #options: JWTVerifyOptions;
  readonly #claim: string;
  readonly #toleranceMs: number;
  readonly #clock: Clock;

  private constructor(key: JWTVerifyGetKey, settings: TokenSettings, clock: Clock) {
    this.#key = key;
    this.#claim = settings.scopesClaim;
    this.#toleranceMs = settings.clockToleranceMs;
    this.#clock = clock;
    this.#options = {
      algorithms: [...settings.algorithms],
      issuer: settings.issuer,
      audience: settings.audience,
      clockTolerance: settings.clockToleranceMs / 1_000,
      requiredClaims: ['sub', 'exp'],
    };
  }

  /** @throws Error when a file cannot be read, or does not hold what it should */
  static async start(settings: TokenSettings, clock: Clock): Promise<Tokens> {
    return new Tokens(await keyOf(settings), settings, clock);
  }

  /** @throws ClusterError UNAUTHENTICATED, IDENTITY_UNAVAILABLE */
  async verify(token: string): Promise<Principal> {
    const payload = await this.#payloadOf(token);
    const { sub, exp } = payload as Readonly<Record<string, unknown>>;
    if (typeof sub !== 'string' || !SUBJECT.test(sub))
      throw unauthenticated('token', 'the sub of the token cannot be a name');
    if (typeof exp !== 'number' || !(exp <= END_MAX))
      throw unauthenticated('token', 'the exp of the token is no time');
    const endsAtMs = exp * 1_000 + this.#toleranceMs;
    return {
      id: `jwt:${sub}`,
      grants: grantsOf(payload, this.#claim),
      isValid: () => this.#clock.wallNow() < endsAtMs,
    };
  }

  async #payloadOf(token: string): Promise<JWTPayload> {
    try {
      return (await jwtVerify(token, this.#key, this.#options)).payload;
    } catch (error) {
      throw refusalOf(error);
    }
  }
}

async function keyOf({ source }: TokenSettings): Promise<JWTVerifyGetKey> {
  switch (source.kind) {
    case 'url':
      return createRemoteJWKSet(new URL(source.url), { timeoutDuration: FETCH_TIMEOUT_MS });
    case 'file':
      // The library checks it, and says what it is not.
      return createLocalJWKSet(JSON.parse(await readFile(source.path, 'utf8')) as JSONWebKeySet);
    case 'secret': {
      const secret = await readFile(source.path);
      if (secret.length >= SECRET_BYTES_MIN) return () => secret;
      throw new Error(`ENGRAM_JWT_SECRET_FILE must hold at least ${SECRET_BYTES_MIN} bytes`);
    }
  }
}

/** Claims are looked at after the signature, so what is said of them is said to who has the token. */
function refusalOf(error: unknown): ClusterError {
  if (!(error instanceof errors.JOSEError) || PROVIDER_FAULTS.has(error.code))
    return new ClusterError('IDENTITY_UNAVAILABLE', 'the keys of tokens cannot be fetched now', {
      cause: error,
    });
  if (error instanceof errors.JWTExpired) return unauthenticated('token', 'the token has expired');
  if (error instanceof errors.JWTClaimValidationFailed)
    return unauthenticated(
      'token',
      `the ${error.claim} of the token is missing or not the right one`,
    );
  return unauthenticated('token', 'the token cannot be verified');
}

/**
 * As in a file of keys, or as words `notes:read,write team-*:read`. Words of another form mean nothing
 * here: a claim such as `scope` is shared with others.
 */
function grantsOf(payload: JWTPayload, claim: string): Grants {
  const value = Object.hasOwn(payload, claim) ? payload[claim] : {};
  try {
    return typeof value === 'string'
      ? grantsOfWords(value)
      : parseGrants(value, { mayBeEmpty: true });
  } catch {
    throw unauthenticated('token', 'the scopes of the token are no scopes');
  }
}

function grantsOfWords(text: string): Grants {
  return mergeGrants(
    text.split(' ').flatMap((word) => {
      try {
        return [parseGrant(word)];
      } catch {
        return [];
      }
    }),
  );
}
