import { isApiKey } from '@engram/access';
import { ClusterError } from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
import { isAuthOn, type AccessSettings } from '@engram/runtime/service';
import { ANYBODY, type Principal } from './principal.ts';
import { KeyFile } from './key-file.ts';

/** Longer ones are not looked at: a key has a hundred characters, a token some thousand. */
const CREDENTIAL_CHARS_MAX = 8_192;
const BEARER = /^Bearer +([\x21-\x7e]+) *$/i;

interface AuthenticatorOptions {
  readonly config: AccessSettings;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Finds out who sent a request, from its `Authorization` header alone. */
export class Authenticator implements AsyncDisposable {
  /** Undefined: callers need not say who they are. */
  readonly #keys: KeyFile | undefined;

  private constructor(keys: KeyFile | undefined) {
    this.#keys = keys;
  }

  /** @throws Error when the file of keys cannot be read */
  static async start({ config, clock, logger }: AuthenticatorOptions): Promise<Authenticator> {
    if (!isAuthOn(config)) {
      logger.info('callers need not say who they are');
      return new Authenticator(undefined);
    }
    const { ENGRAM_API_KEYS_FILE: path, ENGRAM_API_KEYS: given } = config;
    return new Authenticator(await KeyFile.start({ path, given, clock, logger }));
  }

  async close(): Promise<void> {
    await this.#keys?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Says of a wrong credential nothing but that it is wrong.
   * @throws ClusterError UNAUTHENTICATED
   */
  authenticate(header: string | undefined): Principal {
    if (this.#keys === undefined) return ANYBODY;
    if (header === undefined) throw unauthenticated('missing', 'the request has no credentials');
    const credential = header.length <= CREDENTIAL_CHARS_MAX ? BEARER.exec(header)?.[1] : undefined;
    if (credential === undefined)
      throw unauthenticated('malformed', 'the Authorization header is not Bearer and a key');
    const key = isApiKey(credential) ? this.#keys.current.find(credential) : undefined;
    if (key === undefined) throw unauthenticated('unknown', 'the key is not known here');
    return { id: `key:${key.id}`, grants: key.grants };
  }
}

function unauthenticated(reason: 'missing' | 'malformed' | 'unknown', detail: string) {
  return new ClusterError('UNAUTHENTICATED', detail, {
    pointer: '#authorization',
    hint: 'send Authorization: Bearer and an API key',
    details: { reason },
  });
}
