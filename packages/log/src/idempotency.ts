import { createHash } from 'node:crypto';
import { ClusterError, type SpaceId } from '@engram/model';
import type { KV } from 'nats';
import type { LogConnection } from './connection.ts';
import { toLogError } from './errors.ts';

const BUCKET = 'engram-idempotency';
const TTL_MS = 24 * 3_600_000;
const BYTES_MAX = 256 * 1024 * 1024;

interface Remembered {
  readonly fingerprint: string;
  /** Absent while the first request still runs. */
  readonly answer?: StoredAnswer;
}

export interface StoredAnswer {
  readonly status: 200 | 202 | 207;
  readonly body: string;
}

export type Claim =
  | { readonly kind: 'first'; readonly key: string; readonly revision: number }
  /** The first one has not answered, so it runs again under the same message ids. */
  | { readonly kind: 'unfinished'; readonly key: string; readonly revision: number }
  | { readonly kind: 'answered'; readonly answer: StoredAnswer };

/** Remembers for a day what was answered under a client's Idempotency-Key. */
export class IdempotencyStore {
  readonly #kv: KV;

  private constructor(kv: KV) {
    this.#kv = kv;
  }

  static async start(connection: LogConnection, replicas: number): Promise<IdempotencyStore> {
    const options = { history: 1, ttl: TTL_MS, max_bytes: BYTES_MAX, replicas };
    return new IdempotencyStore(await connection.nc.jetstream().views.kv(BUCKET, options));
  }

  /** @throws ClusterError IDEMPOTENCY_KEY_REUSED, LOG_UNAVAILABLE */
  async claim(space: SpaceId, clientKey: string, body: Uint8Array): Promise<Claim> {
    const key = createHash('sha256').update(`${space}\0${clientKey}`).digest('hex');
    const fingerprint = createHash('sha256').update(body).digest('hex');
    try {
      const revision = await this.#kv.create(key, JSON.stringify({ fingerprint }));
      return { kind: 'first', key, revision };
    } catch (error) {
      const entry = await this.#kv.get(key).catch((cause: unknown) => {
        throw toLogError(cause);
      });
      if (entry === null) throw toLogError(error);
      const record: Remembered = entry.json();
      if (record.fingerprint !== fingerprint)
        throw new ClusterError(
          'IDEMPOTENCY_KEY_REUSED',
          'the Idempotency-Key was used for another body in this space',
          { pointer: '#Idempotency-Key', hint: 'use a new key for each request' },
        );
      if (record.answer !== undefined) return { kind: 'answered', answer: record.answer };
      return { kind: 'unfinished', key, revision: entry.revision };
    }
  }

  async finish(
    claim: Exclude<Claim, { kind: 'answered' }>,
    body: Uint8Array,
    answer: StoredAnswer,
  ): Promise<void> {
    const fingerprint = createHash('sha256').update(body).digest('hex');
    const record: Remembered = { fingerprint, answer };
    await this.#kv.put(claim.key, JSON.stringify(record));
  }
}
