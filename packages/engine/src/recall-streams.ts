import type { WireHit } from '@engram/codec';
import type { SpaceConfig, SpaceId } from '@engram/model';
import type { PageAnswer, RecallTask, WorkerRequest } from './protocol.ts';

/** To the worker that has the space. */
export interface StreamPort {
  ask(space: SpaceId, request: WorkerRequest): Promise<PageAnswer>;
  post(space: SpaceId, request: WorkerRequest): void;
}

/** Recalls whose pages are read one after the other. Their cursors are kept by the worker. */
export class RecallStreams {
  readonly #port: StreamPort;

  constructor(port: StreamPort) {
    this.#port = port;
  }

  /**
   * All of a stream's pages.
   * @throws ClusterError CURSOR_EXPIRED when a page is not asked for in time, or the thread ended
   */
  async *read(task: RecallTask): AsyncGenerator<readonly WireHit[], undefined> {
    const { space } = task.config;
    let page = await this.open(task);
    try {
      for (;;) {
        yield page.hits;
        if (page.cursor === undefined) return undefined;
        page = await this.next(space, page.cursor);
      }
    } finally {
      if (page.cursor !== undefined) this.close(space, page.cursor);
    }
  }

  /** The first page. */
  open(task: RecallTask): Promise<PageAnswer> {
    return this.#port.ask(task.config.space, { verb: 'recall-open', ...task });
  }

  /** The first page of all ids of a space with their sequences, as of a sequence of the log. */
  openIds(config: SpaceConfig, asOf: number): Promise<PageAnswer> {
    return this.#port.ask(config.space, { verb: 'ids-open', config, asOf });
  }

  /** @throws ClusterError CURSOR_EXPIRED */
  next(space: SpaceId, cursor: number): Promise<PageAnswer> {
    return this.#port.ask(space, { verb: 'recall-next', space, cursor });
  }

  /** The next page is not wanted yet, but will be: the cursor does not expire for now. */
  keep(space: SpaceId, cursor: number): void {
    this.#port.post(space, { verb: 'recall-keep', space, cursor });
  }

  close(space: SpaceId, cursor: number): void {
    this.#port.post(space, { verb: 'recall-close', space, cursor });
  }
}
