import type { Observation } from '@engram/model';
import type { EngramClient } from './client.ts';
import type { Acknowledged, ProducerOptions } from './producer/options.ts';
import type { Producer } from './producer/producer.ts';
import type { TailEvent, TailOptions } from './tail.ts';
import type {
  CallOptions,
  DeleteOptions,
  DeleteResult,
  PutOptions,
  PutResult,
  RecallEnd,
  RecallHit,
  RecallQuery,
  RecallResult,
  StoredObservation,
} from './types.ts';

/** The same with the type of its metadata. */
export type Typed<T extends { readonly metadata?: unknown }, M> = Omit<T, 'metadata'> & {
  readonly metadata?: M;
};

export type TypedProducer<M> = Omit<Producer, 'write' | 'from'> & {
  write(observation: Typed<Observation, M>): Promise<void>;
  from(
    source: AsyncIterable<Typed<Observation, M>> | Iterable<Typed<Observation, M>>,
  ): AsyncGenerator<Acknowledged, void, void>;
};

type TypedEvent<M> =
  Exclude<TailEvent, { readonly op: 'put' }> | Typed<Extract<TailEvent, { readonly op: 'put' }>, M>;

/**
 * One space, and the type of the metadata in it. The type is what the caller says of the space: nothing looks
 * whether what is stored there is of it.
 */
export class SpaceClient<M extends object> {
  readonly #client: EngramClient;
  readonly name: string;

  constructor(client: EngramClient, name: string) {
    this.#client = client;
    this.name = name;
  }

  put(
    observations: readonly Typed<Observation, M>[],
    options: PutOptions = {},
  ): Promise<PutResult> {
    return this.#client.put(this.name, observations as readonly Observation[], options);
  }

  async get(id: string, options: CallOptions = {}): Promise<Typed<StoredObservation, M>> {
    return (await this.#client.get(this.name, id, options)) as Typed<StoredObservation, M>;
  }

  delete(id: string, options: DeleteOptions = {}): Promise<DeleteResult> {
    return this.#client.delete(this.name, id, options);
  }

  async recall(
    query: RecallQuery,
    options: CallOptions = {},
  ): Promise<Omit<RecallResult, 'results'> & { readonly results: Typed<RecallHit, M>[] }> {
    const answer = await this.#client.recall(this.name, query, options);
    return { ...answer, results: answer.results as Typed<RecallHit, M>[] };
  }

  recallStream(
    query: RecallQuery,
    options: CallOptions = {},
  ): AsyncGenerator<Typed<RecallHit, M>, RecallEnd, void> {
    const hits = this.#client.recallStream(this.name, query, options);
    return hits as AsyncGenerator<Typed<RecallHit, M>, RecallEnd, void>;
  }

  tail(options: TailOptions = {}): AsyncGenerator<TypedEvent<M>, void, void> {
    return this.#client.tail(this.name, options) as AsyncGenerator<TypedEvent<M>, void, void>;
  }

  producer(options: ProducerOptions = {}): TypedProducer<M> {
    return this.#client.producer(this.name, options) as TypedProducer<M>;
  }
}
