import { isApiKey } from '@engram/access';
import type { Clock, Logger } from '@engram/runtime';
import { isAuthOn, tokenSettings, type AccessSettings } from '@engram/runtime/service';
import { KeyFile } from './key-file.ts';
import { ANYBODY, type Principal } from './principal.ts';
import { unauthenticated } from './refusal.ts';
import { Tokens } from './tokens.ts';

interface AuthenticatorOptions {
  readonly config: AccessSettings;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Credentials {
  readonly keys: KeyFile;
  readonly tokens: Tokens | undefined;
}

/** Longer ones are not looked at: a key has a hundred characters, a token some thousand. */
const HEADER_CHARS_MAX = 8_192;
const BEARER = /^Bearer +([\x21-\x7e]+) *$/i;

/** Finds out who sent a request, from its `Authorization` header alone. */
export class Authenticator implements AsyncDisposable {
  /** Undefined: callers need not say who they are. */
  readonly #credentials: Credentials | undefined;

  private constructor(credentials: Credentials | undefined) {
    this.#credentials = credentials;
  }

  /** @throws Error when a file of keys cannot be read */
  static async start({ config, clock, logger }: AuthenticatorOptions): Promise<Authenticator> {
    if (!isAuthOn(config)) {
      logger.info('callers need not say who they are');
      return new Authenticator(undefined);
    }
    const given = tokenSettings(config);
    const tokens = given && (await Tokens.start(given, clock));
    const { ENGRAM_API_KEYS_FILE: path, ENGRAM_API_KEYS: list } = config;
    const keys = await KeyFile.start({ path, given: list, clock, logger });
    return new Authenticator({ keys, tokens });
  }

  /**
   * Says of a wrong key nothing but that it is wrong.
   * @throws ClusterError UNAUTHENTICATED, IDENTITY_UNAVAILABLE
   */
  async authenticate(header: string | undefined): Promise<Principal> {
    if (this.#credentials === undefined) return ANYBODY;
    if (header === undefined) throw unauthenticated('missing', 'the request has no credentials');
    const credential = header.length <= HEADER_CHARS_MAX ? BEARER.exec(header)?.[1] : undefined;
    if (credential === undefined)
      throw unauthenticated(
        'malformed',
        'the Authorization header is not Bearer and a key or token',
      );
    const { keys, tokens } = this.#credentials;
    if (tokens !== undefined && !isApiKey(credential)) return tokens.verify(credential);
    const principal = keys.principalOf(credential);
    if (principal === undefined) throw unauthenticated('unknown', 'the key is not known here');
    return principal;
  }

  async close(): Promise<void> {
    await this.#credentials?.keys.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
