// What operators do with dead letters: look at them, put them into the log again, be done with them.
//
//   L1. A dead letter that is done with leaves a mark without payload in its place, for as long as the
//       stream keeps messages. A shard that replays the log meets the same entry again, and would set
//       it aside again if nothing stood there.
//   L2. A payload is acknowledged by the log before its dead letter is done with; so one that is put in
//       twice is the worst that an interruption brings, and its message id mostly prevents that.

import {
  ClusterError,
  isLane,
  isToken,
  partitionOf,
  type ErrorCode,
  type SpaceConfig,
  type SpaceId,
} from '@engram/model';
import { headers, NatsError, type StoredMsg } from 'nats';
import type { LogConnection } from './connection.ts';
import {
  parseDeadLetterId,
  readDeadLetter,
  deadLetterNotFound,
  SETTLED_HEADER,
  type DeadLetter,
} from './dead-letter-record.ts';
import { deadLetterPlaces, scanDeadLetters, type ScanOrder } from './dead-letter-scan.ts';
import { isWrongLastSequence, toLogError } from './errors.ts';
import { DEAD_LETTER_STREAM, type LogLayout } from './streams.ts';
import { streamName, stripeOf } from './subjects.ts';

export interface DeadLetterFilter {
  readonly reason?: string | undefined;
  /** As it stands in the subject. */
  readonly space?: string | undefined;
}

export interface DeadLetterQuery extends DeadLetterFilter {
  readonly order: ScanOrder;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Some by their ids, or all that match; an empty filter matches everything. */
export type DeadLetterSelection = { readonly ids: readonly string[] } | DeadLetterFilter;

export interface DeadLetterPage {
  readonly deadLetters: DeadLetter[];
  /** Absent with the last page. A page may have fewer than asked for, even none, and not be the last. */
  readonly nextCursor?: string;
}

interface Refusal {
  readonly id: string;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly hint?: string;
}

/** What one call did; the rest is done with the cursor, which ends where the first call began. */
export interface Redriven {
  readonly redriven: number;
  readonly refused: Refusal[];
  readonly nextCursor?: string;
}

export interface Purged {
  readonly purged: number;
  readonly nextCursor?: string;
}

export interface DeadLetterOptions extends LogLayout {
  readonly findSpace: (space: SpaceId) => Promise<SpaceConfig | undefined>;
}

interface Kept {
  readonly letter: DeadLetter;
  readonly place: number;
}

/** Headers read for one answer; some 50 ms. */
const SCANNED_MAX = 20_000;
/** Of one answer, each with a payload that goes into the log: at most some seconds. */
const REDRIVEN_MAX = 500;
const PURGED_MAX = 10_000;
const PURGED_AT_ONCE = 64;
const PUBLISH_TIMEOUT_MS = 5_000;
const CURSOR = /^(\d{1,16})-(\d{1,16})$/;

export class DeadLetters {
  readonly #connection: LogConnection;
  readonly #options: DeadLetterOptions;

  constructor(connection: LogConnection, options: DeadLetterOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  /** @throws ClusterError INVALID_PARAMETER for a cursor that is none, LOG_UNAVAILABLE */
  async list({ order, limit, cursor, ...filter }: DeadLetterQuery): Promise<DeadLetterPage> {
    const given = parseCursor(cursor);
    return this.#reaching(async () => {
      const range = within(await deadLetterPlaces(this.#connection), given);
      const found = await this.#select(order, range, filter, limit);
      return {
        deadLetters: found.kept.map(({ letter }) => letter),
        ...nextOf(order, range, found.next),
      };
    });
  }

  /** @throws ClusterError DEAD_LETTER_NOT_FOUND, INVALID_PARAMETER, LOG_UNAVAILABLE */
  async get(id: string): Promise<DeadLetter> {
    return (await this.#find(id)).letter;
  }

  /** The bytes as they were published, or the first of them where it was cut. @throws as `get` does */
  async payload(id: string): Promise<{ readonly letter: DeadLetter; readonly bytes: Uint8Array }> {
    return this.#find(id);
  }

  /**
   * Publishes payloads once more to their subjects and is done with those that the log acknowledged.
   * They come in as new entries: what they write wins over what was written since. Those that still
   * cannot be applied become new dead letters.
   * @throws ClusterError LOG_FULL, LOG_UNAVAILABLE: the same call goes on where this one stopped
   */
  async redrive(selection: DeadLetterSelection, cursor?: string): Promise<Redriven> {
    const { ids, next } = await this.#idsOf(selection, cursor, REDRIVEN_MAX);
    const refused: Refusal[] = [];
    let redriven = 0;
    for (const id of ids) {
      try {
        if (await this.#redrive(id)) redriven++;
      } catch (error) {
        const { code, message, hint, retry } = ClusterError.from(error);
        if (retry !== 'never' || code === 'INTERNAL') throw error;
        refused.push({ id, code, detail: message, ...(hint === undefined ? {} : { hint }) });
      }
    }
    return { redriven, refused, ...next };
  }

  /** Is done with dead letters for good. Ids that name none are passed over. */
  async purge(selection: DeadLetterSelection, cursor?: string): Promise<Purged> {
    if ('ids' in selection)
      // Each is read with its payload, so that few are read at once.
      return { purged: await countOf(unique(selection.ids), 8, (id) => this.#purgeId(id)) };
    const { kept, next } = await this.#oldest(selection, cursor, PURGED_MAX);
    const purged = await countOf(kept, PURGED_AT_ONCE, (each) => this.#settle(each, 'purged'));
    return { purged, ...next };
  }

  async #purgeId(id: string): Promise<boolean> {
    try {
      return await this.#settle(await this.#find(id), 'purged');
    } catch (error) {
      if (ClusterError.from(error).code === 'DEAD_LETTER_NOT_FOUND') return false;
      throw error;
    }
  }

  /** In the order of the log, so that of two entries of one call for an id the later one wins again. */
  async #idsOf(
    selection: DeadLetterSelection,
    cursor: string | undefined,
    max: number,
  ): Promise<{ readonly ids: readonly string[]; readonly next: { readonly nextCursor?: string } }> {
    const { places, next } =
      'ids' in selection
        ? { places: unique(selection.ids).map((id) => parseDeadLetterId(id, '/ids')), next: {} }
        : await this.#oldest(selection, cursor, max).then((found) => ({
            places: found.kept.map(({ letter }) => letter),
            next: found.next,
          }));
    const ids = [...places]
      .sort((left, right) => left.stripe - right.stripe || left.sequence - right.sequence)
      .map(({ stripe, sequence }) => `${stripe}-${sequence}`);
    return { ids, next };
  }

  async #oldest(filter: DeadLetterFilter, cursor: string | undefined, max: number) {
    const given = parseCursor(cursor);
    return this.#reaching(async () => {
      const range = within(await deadLetterPlaces(this.#connection), given);
      const { kept, next } = await this.#select('oldest', range, filter, max);
      return { kept, next: nextOf('oldest', range, next) };
    });
  }

  /** Some that match, and the first place that was not looked at, or that has one more. */
  async #select(
    order: ScanOrder,
    range: Places,
    { reason, space }: DeadLetterFilter,
    limit: number,
  ): Promise<{ readonly kept: readonly Kept[]; readonly next: number | undefined }> {
    const kept: Kept[] = [];
    let scanned = 0;
    for await (const { place, letter } of scanDeadLetters(this.#connection, order, range)) {
      if (scanned++ === SCANNED_MAX) return { kept, next: place };
      if (letter === undefined) continue;
      if (reason !== undefined && letter.reason !== reason) continue;
      if (space !== undefined && letter.space !== space) continue;
      if (kept.length === limit) return { kept, next: place };
      kept.push({ letter, place });
    }
    return { kept, next: undefined };
  }

  /** @throws ClusterError DEAD_LETTER_NOT_FOUND */
  async #find(id: string): Promise<Kept & { readonly bytes: Uint8Array }> {
    const { stripe, sequence } = parseDeadLetterId(id);
    const message = await this.#reaching(() => this.#read(`dlq.${stripe}.${sequence}`));
    const letter =
      message && readDeadLetter(message.subject, message.header, message.data.length, message.time);
    if (letter === undefined) throw deadLetterNotFound(id);
    return { letter, place: message!.seq, bytes: message!.data };
  }

  async #read(subject: string): Promise<StoredMsg | undefined> {
    const jsm = await this.#connection.nc.jetstreamManager({ checkAPI: false });
    try {
      return await jsm.streams.getMessage(DEAD_LETTER_STREAM, { last_by_subj: subject });
    } catch (error) {
      if (error instanceof NatsError && error.api_error?.code === 404) return undefined;
      throw error;
    }
  }

  /** @returns false when somebody else was done with it first */
  async #redrive(id: string): Promise<boolean> {
    const found = await this.#find(id);
    const { letter, bytes } = found;
    const space = this.#target(letter);
    if ((await this.#options.findSpace(space)) === undefined)
      throw new ClusterError('SPACE_NOT_FOUND', `there is no space ${space}`, {
        hint: `create it first: PUT /v1/spaces/${space} {"dimension": N}`,
      });
    const head = headers();
    if (letter.contentType !== undefined) head.set('Content-Type', letter.contentType);
    const stripe = stripeOf(letter.partition!, this.#options.stripeCount);
    await this.#reaching(() =>
      this.#connection.nc.jetstream().publish(letter.subject, bytes, {
        headers: head,
        msgID: `redriven-${letter.id}`, // L2
        expect: { streamName: streamName(stripe) },
        timeout: PUBLISH_TIMEOUT_MS,
      }),
    );
    return this.#settle(found, 'redriven');
  }

  /**
   * The space that it goes to.
   * @throws ClusterError why it cannot go into the log again as it is
   */
  #target({ partition, lane, space, cutTo, id }: DeadLetter): SpaceId {
    const { partitionCount } = this.#options;
    if (cutTo !== undefined)
      throw new ClusterError('DEAD_LETTER_CUT', `only ${cutTo} bytes of ${id} were kept`, {
        hint: 'write its observations again in smaller batches, then purge it',
      });
    if (!isToken(space) || !isLane(lane))
      throw new ClusterError('INVALID_SPACE_NAME', 'its subject names no possible space', {
        hint: 'publish its payload to observe.<lane>.<space>, then purge it',
      });
    const own = partitionOf(space as SpaceId, partitionCount);
    if (partition !== own)
      throw new ClusterError('WRONG_PARTITION', `the space belongs to partition ${own}`, {
        hint: `publish its payload to observe.${lane}.${space}, then purge it`,
      });
    return space as SpaceId;
  }

  /** L1. @returns false when it is not there any more */
  async #settle({ letter, place }: Kept, how: 'purged' | 'redriven'): Promise<boolean> {
    const head = headers();
    head.set(SETTLED_HEADER, how);
    const subject = `dlq.${letter.stripe}.${letter.sequence}`;
    try {
      await this.#connection.nc.jetstream().publish(subject, undefined, {
        headers: head,
        expect: { streamName: DEAD_LETTER_STREAM, lastSubjectSequence: place },
        timeout: PUBLISH_TIMEOUT_MS,
      });
      return true;
    } catch (error) {
      if (isWrongLastSequence(error)) return false;
      throw toLogError(error);
    }
  }

  /** @throws ClusterError LOG_UNAVAILABLE at once while NATS is away */
  async #reaching<T>(run: () => Promise<T>): Promise<T> {
    if (!this.#connection.isConnected)
      throw new ClusterError('LOG_UNAVAILABLE', 'the dead letters cannot be reached: NATS is away');
    try {
      return await run();
    } catch (error) {
      throw toLogError(error);
    }
  }
}

function unique(ids: readonly string[]): string[] {
  return [...new Set(ids)];
}

/** For how many it is so, some asked at a time. */
async function countOf<T>(
  items: readonly T[],
  width: number,
  isSo: (item: T) => Promise<boolean>,
): Promise<number> {
  let count = 0;
  for (let from = 0; from < items.length; from += width) {
    const answers = await Promise.all(items.slice(from, from + width).map(isSo));
    count += answers.filter(Boolean).length;
  }
  return count;
}

interface Places {
  readonly first: number;
  readonly last: number;
}

/** What a cursor leaves of the places that there are; it may come from anybody. */
function within(there: Places, given: Places | undefined): Places {
  return {
    first: Math.max(1, there.first, given?.first ?? 0),
    last: Math.min(there.last, given?.last ?? Infinity),
  };
}

/** A cursor names what is left: so what comes later is in no page. */
function nextOf(
  order: ScanOrder,
  { first, last }: Places,
  next: number | undefined,
): { readonly nextCursor?: string } {
  if (next === undefined) return {};
  return { nextCursor: order === 'oldest' ? `${next}-${last}` : `${first}-${next}` };
}

/** @throws ClusterError INVALID_PARAMETER */
function parseCursor(cursor: string | undefined): Places | undefined {
  if (cursor === undefined) return undefined;
  const [first, last] = CURSOR.exec(cursor)?.slice(1).map(Number) ?? [];
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last))
    throw new ClusterError('INVALID_PARAMETER', 'a cursor is what the page before answered', {
      pointer: '#cursor',
    });
  return { first: first!, last: last! };
}
