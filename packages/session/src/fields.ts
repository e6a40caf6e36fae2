import {
  ACK_LEVELS,
  ClusterError,
  isLane,
  LANES,
  LIMITS,
  parseSpaceId,
  pointerStep,
  type AckLevel,
  type Lane,
  type SpaceId,
} from '@engram/model';
import type { Resume } from './message.ts';

const ACK_TIMEOUT_MS = 5_000;
const SESSION_ID = /^[A-Za-z0-9_-]{1,64}$/;
const NAME_LENGTH_MAX = 64;

/** The fields of a message, each read as what it must be; errors name the field. */
export class Fields {
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #path: string;

  /** @throws ClusterError INVALID_BODY for a field that is not one of the allowed */
  constructor(
    value: Readonly<Record<string, unknown>>,
    allowed: readonly string[] = Object.keys(value),
    path = '',
  ) {
    this.#value = value;
    this.#path = path;
    const unknown = Object.keys(value).find((name) => !allowed.includes(name));
    if (unknown !== undefined)
      throw this.#fault(unknown, `is not a field here: those are ${allowed.join(', ')}`);
  }

  /** @throws ClusterError INVALID_SPACE_NAME */
  space(name: string): SpaceId {
    return parseSpaceId(this.#value[name], this.#pointer(name));
  }

  ackLevel(name: string): AckLevel {
    const value = this.#value[name] ?? 'logged';
    const level = ACK_LEVELS.find((each) => each === value);
    if (level !== undefined) return level;
    throw this.#fault(name, `must be one of ${ACK_LEVELS.join(', ')}`);
  }

  ackTimeoutMs(name: string): number {
    const value = this.#value[name] ?? ACK_TIMEOUT_MS;
    if (typeof value === 'number' && Number.isInteger(value))
      if (value >= 0 && value <= LIMITS.waitMsMax) return value;
    throw this.#fault(name, `must be a whole number from 0 to ${LIMITS.waitMsMax}`);
  }

  lane(name: string): Lane | undefined {
    const value = this.#value[name];
    if (value === undefined || isLane(value)) return value;
    throw new ClusterError('INVALID_LANE', `the lane must be one of ${LANES.join(', ')}`, {
      pointer: this.#pointer(name),
    });
  }

  flag(name: string): boolean {
    const value = this.#value[name] ?? false;
    if (typeof value === 'boolean') return value;
    throw this.#fault(name, 'must be true or false');
  }

  sequence(name: string, min: number): number {
    const value = this.#value[name];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value;
    throw this.#fault(name, `must be a whole number from ${min} on`);
  }

  name(name: string): string {
    const value = this.#value[name];
    if (typeof value === 'string' && value.length > 0 && value.length <= NAME_LENGTH_MAX)
      return value;
    throw this.#fault(name, `must be a text of 1 to ${NAME_LENGTH_MAX} characters`);
  }

  resume(name: string): Resume | undefined {
    const value = this.#value[name];
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.#fault(name, 'must be an object with session and acked');
    const fields = new Fields(
      value as Readonly<Record<string, unknown>>,
      ['session', 'acked'],
      this.#pointer(name),
    );
    return { session: fields.#sessionId('session'), acked: fields.sequence('acked', 0) };
  }

  #sessionId(name: string): string {
    const value = this.#value[name];
    if (typeof value === 'string' && SESSION_ID.test(value)) return value;
    throw this.#fault(name, 'must be the session that an opened message named');
  }

  #pointer(name: string): string {
    return `${this.#path}${pointerStep(name)}`;
  }

  #fault(name: string, what: string): ClusterError {
    const shown = JSON.stringify(name.slice(0, NAME_LENGTH_MAX));
    return new ClusterError('INVALID_BODY', `${shown} ${what}`, { pointer: this.#pointer(name) });
  }
}
