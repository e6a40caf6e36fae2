import { allows, parseGrants, WHOLE_CLUSTER, type Grants, type Scope } from '@engram/access';
import { ClusterError } from '@engram/model';

/** Who makes a request. */
export interface Principal {
  /** `key:<id>` or `jwt:<sub>`: the caller's name wherever callers are told apart. Safe in logs and labels. */
  readonly id: string;
  readonly grants: Grants;
  /** Whether it would still be let in with these grants; for what goes on after the request. Cheap. */
  readonly isValid: () => boolean;
}

/** Everybody, where nobody must say who they are. */
export const ANYBODY: Principal = {
  id: 'anybody',
  grants: parseGrants({ '*': ['admin'] }),
  isValid: () => true,
};
/** Who needs no name for what is open to all: may do nothing else. */
export const NOBODY: Principal = { id: 'nobody', grants: new Map(), isValid: () => true };

export function may({ grants }: Principal, scope: Scope, space: string): boolean {
  return allows(grants, space, scope);
}

/**
 * Judged by the name alone, before anything is looked up: a space that one may not use is refused in the
 * same words whether there is one or not.
 * @throws ClusterError FORBIDDEN that names the scope that is lacking
 */
export function requireScope(principal: Principal, scope: Scope, space: string): void {
  if (may(principal, scope, space)) return;
  const where = space === WHOLE_CLUSTER ? 'all spaces (*)' : `space ${space}`;
  throw new ClusterError('FORBIDDEN', `${principal.id} has no scope ${scope} for ${where}`, {
    pointer: '#authorization',
    hint: 'use a key with that scope, or ask whoever gives out keys for it',
    details: { scope, space },
  });
}

/** @throws ClusterError FORBIDDEN unless the principal may run the cluster */
export function requireOperator(principal: Principal): void {
  requireScope(principal, 'admin', WHOLE_CLUSTER);
}
