// Watches the records of partitions from outside: whoever wrote last has the highest epoch, and an epoch
// belongs to one claim.

import type { KV, NatsConnection, QueuedIterator, KvEntry } from 'nats';

const BUCKET = 'engram-partitions';

export interface WriterRecord {
  readonly epoch: number;
  readonly writer: string;
  readonly claim: string;
}

/** What the records of all partitions were, one after the other. */
export class WriterHistory {
  readonly #last = new Map<string, WriterRecord>();
  readonly violations: string[] = [];
  count = 0;

  note(partition: string, record: WriterRecord): void {
    this.count++;
    const last = this.#last.get(partition);
    this.#last.set(partition, record);
    if (last === undefined || record.epoch > last.epoch) return;
    if (record.epoch === last.epoch && record.claim === last.claim) return;
    this.violations.push(
      `partition ${partition}: ${record.writer} wrote with epoch ${record.epoch} after ${last.writer} with ${last.epoch}`,
    );
  }
}

export class CheckpointRecords implements AsyncDisposable {
  readonly history = new WriterHistory();
  readonly #watch: QueuedIterator<KvEntry>;
  readonly #watching: Promise<void>;

  private constructor(watch: QueuedIterator<KvEntry>) {
    this.#watch = watch;
    this.#watching = this.#follow();
  }

  static async start(nats: NatsConnection): Promise<CheckpointRecords> {
    const kv: KV = await nats.jetstream().views.kv(BUCKET, { bindOnly: true });
    return new CheckpointRecords(await kv.watch());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch.stop();
    await this.#watching;
  }

  async #follow(): Promise<void> {
    for await (const entry of this.#watch)
      if (entry.operation === 'PUT') this.history.note(entry.key, entry.json<WriterRecord>());
  }
}
