import { ClusterError } from './errors.ts';

declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

/** A tenant's namespace: safe as a NATS token, a file name and a part of a URL. */
export type SpaceId = Branded<string, 'SpaceId'>;
/** A gateway's or a shard's name in the cluster. */
export type MemberId = Branded<string, 'MemberId'>;
/** `fnv1a32(space) % partitionCount`: the unit of ownership and of movement. */
export type PartitionId = Branded<number, 'PartitionId'>;

const TOKEN = /^[A-Za-z0-9_-]{1,64}$/;

/** Longest observation id, in UTF-8 bytes. */
export const OBSERVATION_ID_BYTES_MAX = 256;

/** Never throws; the text is not repeated in messages because it may hold anything. */
export function isToken(value: unknown): value is string {
  return typeof value === 'string' && TOKEN.test(value);
}

/** @throws ClusterError INVALID_SPACE_NAME */
export function parseSpaceId(value: unknown, pointer = '#space'): SpaceId {
  if (isToken(value)) return value as SpaceId;
  throw new ClusterError(
    'INVALID_SPACE_NAME',
    'a space name has 1 to 64 of the characters A-Z a-z 0-9 _ -',
    { pointer },
  );
}

/** @throws ClusterError INVALID_PARAMETER */
export function parseMemberId(value: unknown): MemberId {
  if (isToken(value)) return value as MemberId;
  throw new ClusterError(
    'INVALID_PARAMETER',
    'a member id has 1 to 64 of the characters A-Z a-z 0-9 _ -',
    { pointer: '#member' },
  );
}

/**
 * Why a value cannot be an observation id, or undefined when it can. An id is any well-formed text
 * of 1 to 256 UTF-8 bytes without control characters: it never becomes part of a subject or path.
 */
export function observationIdFault(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'the id must be a string';
  if (value.length === 0) return 'the id must not be empty';
  if (value.length > OBSERVATION_ID_BYTES_MAX || utf8Bytes(value) > OBSERVATION_ID_BYTES_MAX)
    return `the id must have at most ${OBSERVATION_ID_BYTES_MAX} UTF-8 bytes`;
  // C0, DEL and C1 controls would corrupt logs and terminals; lone surrogates are not UTF-8.
  // eslint-disable-next-line no-control-regex -- refusing control characters is the purpose
  if (/[\u0000-\u001f\u007f-\u009f]/.test(value)) return 'the id must have no control characters';
  if (!value.isWellFormed()) return 'the id must be well-formed Unicode';
  return undefined;
}

/** Length of a text in UTF-8, without encoding it. */
function utf8Bytes(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit < 0xdc00) {
      bytes += 4;
      i++;
    } else bytes += 3;
  }
  return bytes;
}
