// What an answer has to have to be a gateway's: any server may stand where one was expected, and a proxy
// may answer in its place. Only what every version has is asked for.

import { LANES } from '@engram/model';
import { ConnectionError } from './errors.ts';
import { isObject } from './problem.ts';

type Test = (value: unknown) => boolean;
type Fields = Readonly<Record<string, unknown>>;

/** Fields that are never left out, with what they hold. */
export type Shape = Readonly<Record<string, Test>>;

const isText: Test = (value) => typeof value === 'string';
const isNumber: Test = (value) => typeof value === 'number';
/** Shown as it is, whatever it is: no list and no object where a word or a number belongs. */
const isPlain: Test = (value) => typeof value !== 'object';
const isFlag: Test = (value) => typeof value === 'boolean';

function listOf(shape: Shape = {}): Test {
  return (value) => Array.isArray(value) && value.every(objectOf(shape));
}

function objectOf(shape: Shape): Test {
  return (value) => isObject(value) && missing(value, shape).length === 0;
}

function maybe(isRight: Test): Test {
  return (value) => value === undefined || isRight(value);
}

const each = (isRight: Test, names: string): Shape =>
  Object.fromEntries(names.split(' ').map((name) => [name, isRight]));

const areTexts: Test = (value) => Array.isArray(value) && value.every(isText);
const hit = { id: isText, score: isNumber };
const counts = (names: string) => objectOf(each(isNumber, names));
const isCount: Test = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const perLane = (isRight: Test) => objectOf(each(isRight, LANES.join(' ')));
const isPressure = objectOf({ level: isText, cause: isText, waiting: isPlain, lagMs: isPlain });

/** Counted with and drawn, by whoever looks at a cluster. */
const member = {
  id: isText,
  ...each(isPlain, 'role state url memory clockSkewMs'),
  ...each(isPlain, 'partitions ready lag replication privateBytes spaces observations'),
  applied: maybe(perLane(isNumber)),
  pressure: maybe(perLane(isPressure)),
  storageFault: maybe(objectOf({ message: isText, forMs: isNumber })),
};

export const SHAPES = {
  space: { space: isText, dimension: isNumber },
  spaces: { spaces: listOf({ space: isText }) },
  put: { accepted: isCount, rejected: maybe(isCount), errors: maybe(listOf()) },
  deleted: { position: isText },
  observation: { id: isText },
  recall: { results: listOf(hit), shards: counts('asked answered'), tookMs: isNumber },
  hit,
  end: { count: isNumber },
  start: { position: isText },
  event: { op: isText, position: isText, time: isText, lane: isText },
  cluster: {
    cluster: isText,
    epoch: isNumber,
    members: listOf(member),
    degraded: isFlag,
    ...each(isPlain, 'membershipAgeMs partitionCount replication'),
    partitions: maybe(listOf({ owners: maybe(areTexts), readyOwners: isPlain })),
    reasons: maybe(areTexts),
    nats: maybe(objectOf(each(isPlain, 'version logBytes logBytesMax'))),
    limited: maybe(listOf({ scope: isText, name: isPlain, cause: isText, refused: isPlain })),
  },
  ring: {
    cluster: isText,
    epoch: isNumber,
    members: listOf({ id: isText }),
    partitions: listOf({ partition: isNumber, owners: areTexts }),
    moves: listOf({ partition: isNumber }),
  },
  verify: {
    ok: isFlag,
    counts: counts('log index'),
    totals: counts('missing extra stale'),
    missing: listOf(),
    extra: listOf(),
    stale: listOf(),
    reasons: areTexts,
  },
  deadLetter: { id: isText, errors: listOf() },
  deadLetters: { deadLetters: listOf({ id: isText, detail: isText }) },
  redriven: { redriven: isNumber, refused: listOf({ id: isText }) },
  purged: { purged: isNumber },
} as const satisfies Readonly<Record<string, Shape>>;

/**
 * @param asked the request, as `GET /v1/cluster`
 * @throws ConnectionError `no-gateway` that names what is missing
 */
export function answered<T>(body: unknown, shape: Shape, asked: string): T {
  const faults = missing(body, shape);
  if (faults.length === 0) return body as T;
  throw notOfAGateway(`its answer to ${asked} has no ${faults.join(', ')}`);
}

/** A line of an answer that comes in lines. @throws ConnectionError `no-gateway` */
export function lineOf<T extends object>(text: string, asked: string): T {
  try {
    const line: unknown = JSON.parse(text);
    if (isObject(line)) return line as T;
  } catch {
    // Said below.
  }
  throw notOfAGateway(`a line of its answer to ${asked} is no object`);
}

export function notOfAGateway(why: string): ConnectionError {
  return new ConnectionError('no-gateway', [], new Error(why));
}

function missing(body: unknown, shape: Shape): string[] {
  const fields = Object(body) as Fields;
  return Object.entries(shape)
    .filter(([name, isRight]) => !isRight(fields[name]))
    .map(([name]) => name);
}
