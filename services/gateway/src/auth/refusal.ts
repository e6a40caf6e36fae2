import { ClusterError } from '@engram/model';

/** Why somebody is not known: nothing was sent, or what was sent is not good. */
export type RefusalReason = 'missing' | 'malformed' | 'unknown' | 'token';

/** Why what was begun by somebody ends. */
export const LAPSED = 'the key or token is no longer valid, or has other scopes';

/** Never repeats what was sent. */
export function unauthenticated(reason: RefusalReason, detail: string): ClusterError {
  return new ClusterError('UNAUTHENTICATED', detail, {
    pointer: '#authorization',
    hint: 'send Authorization: Bearer and a key or token that this cluster takes',
    details: { reason },
  });
}
