import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { ClusterError, type SpaceConfig } from '@engram/model';
import type { KV } from 'nats';
import { Bucket } from './bucket.ts';
import type { LogConnection } from './connection.ts';
import { storageError, toLogError } from './errors.ts';
import { requestKey } from './request-key.ts';

const BUCKET = 'engram-idempotency';
const TTL_MS = 24 * 3_600_000;
const BYTES_MAX = 256 * 1024 * 1024;

interface Remembered {
  readonly fingerprint: string;
  /** Absent while the first request still runs. */
  readonly answer?: { readonly status: StoredAnswer['status']; readonly packed: string };
}

export interface StoredAnswer {
  readonly status: 200 | 202 | 207;
  readonly body: string;
}

/** A request that is to run: for the first time, or again because it has not been answered. */
export interface OpenClaim {
  readonly kind: 'open';
  /** The same for the same request: what it stores under ids made of it is stored once. */
  readonly key: string;
  readonly fingerprint: string;
}

export type Claim = OpenClaim | { readonly kind: 'answered'; readonly answer: StoredAnswer };

/** Remembers for a day what was answered under a client's Idempotency-Key. */
export class IdempotencyStore {
  readonly #bucket: Bucket<KV>;

  private constructor(bucket: Bucket<KV>) {
    this.#bucket = bucket;
  }

  static async start(connection: LogConnection, replicas: number): Promise<IdempotencyStore> {
    const options = { history: 1, ttl: TTL_MS, max_bytes: BYTES_MAX, replicas };
    const { views } = connection.nc.jetstream();
    try {
      return new IdempotencyStore(await Bucket.start(() => views.kv(BUCKET, options)));
    } catch (error) {
      throw storageError(error, 'idempotency keys');
    }
  }

  /**
   * @param request what makes two requests the same, hashed in this order
   * @throws ClusterError IDEMPOTENCY_KEY_REUSED, LOG_UNAVAILABLE, LOG_FULL
   */
  async claim(
    config: SpaceConfig,
    clientKey: string,
    request: readonly (string | Uint8Array)[],
  ): Promise<Claim> {
    // A space that was deleted and made again has forgotten what it was sent before.
    const key = requestKey(config, clientKey);
    const hash = createHash('sha256');
    for (const part of request) hash.update(part);
    const fingerprint = hash.digest('hex');
    const open: OpenClaim = { kind: 'open', key, fingerprint };
    try {
      await this.#bucket.use((kv) => kv.create(key, JSON.stringify({ fingerprint })));
      return open;
    } catch (error) {
      const entry = await this.#bucket
        .use((kv) => kv.get(key))
        .catch((cause: unknown) => {
          throw toLogError(cause);
        });
      if (entry === null) throw storeError(error);
      const record: Remembered = entry.json();
      if (record.fingerprint !== fingerprint)
        throw new ClusterError(
          'IDEMPOTENCY_KEY_REUSED',
          'the Idempotency-Key was used for another body in this space',
          { pointer: '#Idempotency-Key', hint: 'use a new key for each request' },
        );
      if (record.answer !== undefined) {
        const { status, packed } = record.answer;
        const body = gunzipSync(Buffer.from(packed, 'base64')).toString();
        return { kind: 'answered', answer: { status, body } };
      }
      return open;
    }
  }

  async finish({ key, fingerprint }: OpenClaim, answer: StoredAnswer): Promise<void> {
    // A list of refused items packs to a tenth.
    const packed = gzipSync(answer.body).toString('base64');
    const record: Remembered = { fingerprint, answer: { status: answer.status, packed } };
    await this.#bucket.use((kv) => kv.put(key, JSON.stringify(record)));
  }
}

function storeError(error: unknown): ClusterError {
  const known = toLogError(error);
  if (known.code !== 'LOG_FULL') return known;
  return new ClusterError('LOG_FULL', 'the store of Idempotency-Keys is full', {
    cause: error,
    hint: 'send the request without a key, or wait: keys are forgotten after 24 hours',
  });
}
