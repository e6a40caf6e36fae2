import type { ClusterStatus } from '@engram/client';

/** Something answers there, and what it says is not what a gateway says. */
export class NotAGateway extends Error {
  override readonly name = 'NotAGateway';
}

/** What no gateway leaves out, of any version. */
const EXPECTED: Readonly<Partial<Record<keyof ClusterStatus, (value: unknown) => boolean>>> = {
  cluster: (value) => typeof value === 'string',
  epoch: (value) => typeof value === 'number',
  members: (value) => Array.isArray(value) && value.every(isMember),
  degraded: (value) => typeof value === 'boolean',
};

/**
 * The answer of `GET /v1/cluster`, which nobody has looked into yet.
 * @throws NotAGateway that names what is missing: any server may stand where a gateway was expected
 */
export function checkedStatus(answer: ClusterStatus): ClusterStatus {
  const fields = Object(answer) as Readonly<Record<string, unknown>>;
  const missing = Object.entries(EXPECTED)
    .filter(([name, isRight]) => !isRight(fields[name]))
    .map(([name]) => name);
  if (missing.length === 0) return answer;
  throw new NotAGateway(
    `what answers is no gateway of Engram: its answer to GET /v1/cluster has no ${missing.join(', ')}`,
  );
}

function isMember(value: unknown): boolean {
  return typeof (Object(value) as { readonly id?: unknown }).id === 'string';
}
