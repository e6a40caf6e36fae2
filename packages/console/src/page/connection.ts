// The gateway that this page came from, and the key that somebody gave for it.

import { EngramClient } from '@engram/client';

const KEY = 'engram-key';

let current = clientWith(sessionStorage.getItem(KEY));

export function client(): EngramClient {
  return current;
}

/** For the time of this tab only; an empty one is forgotten. */
export function giveKey(key: string): void {
  if (key === '') sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, key);
  current = clientWith(key);
}

/** `/console` of a gateway, or of what stands before it under some path. */
function gatewayUrl(): string {
  return new URL('.', location.href).href;
}

function clientWith(key: string | null): EngramClient {
  return new EngramClient({
    url: gatewayUrl(),
    ...(key ? { apiKey: key } : {}),
    // The next look is worth more than a repetition of this one.
    retries: 0,
    timeoutMs: 5_000,
  });
}
