import { counted, duration } from '@engram/diagnosis';
import type { ClusterEvent, MemberRole } from '@engram/local-cluster';
import { checkedLine, warningLine } from '../format.ts';

/** Rounding of what `started` tells hides nothing: each line is about the slowest of its kind. */
interface Progress {
  readonly urls: string[];
  slowestMs: number;
}

/** Turns events into lines: one for each kind of member while starting, one for each event later. */
export class Checklist {
  readonly #expected: Readonly<Record<MemberRole, number>>;
  readonly #print: (line: string) => void;
  readonly #progress = new Map<MemberRole, Progress>();
  #isStarting = true;

  constructor(
    members: { readonly shards: number; readonly gateways: number },
    print: (line: string) => void,
  ) {
    this.#expected = { nats: 1, redis: 1, shard: members.shards, gateway: members.gateways };
    this.#print = print;
  }

  /** From now on, every start and end is told on its own. */
  started(): void {
    this.#isStarting = false;
  }

  onEvent(event: ClusterEvent): void {
    switch (event.kind) {
      case 'started':
        if (this.#isStarting) this.#count(event.role, event.url, event.tookMs);
        else this.#print(checkedLine(event.id, `runs again at ${event.url}`, event.tookMs));
        return;
      case 'exited':
        if (this.#isStarting || event.restartMs === undefined) return;
        this.#print(
          warningLine(
            `${event.id} ended with ${event.exit.signal ?? `code ${event.exit.code}`}; ` +
              `it starts again in ${duration(event.restartMs)}`,
          ),
        );
        return;
      case 'restart-failed':
        this.#print(
          warningLine(`${event.message}\n  next attempt in ${duration(event.restartMs)}`),
        );
        return;
      case 'closed':
    }
  }

  #count(role: MemberRole, url: string, tookMs: number): void {
    const progress = this.#progress.get(role) ?? { urls: [], slowestMs: 0 };
    this.#progress.set(role, progress);
    progress.urls.push(url);
    progress.slowestMs = Math.max(progress.slowestMs, tookMs);
    if (progress.urls.length < this.#expected[role]) return;
    const detail =
      role === 'shard' ? `${counted(progress.urls.length, 'shard')} ready` : sorted(progress.urls);
    this.#print(checkedLine(role === 'shard' ? 'shards' : role, detail, progress.slowestMs));
  }
}

function sorted(urls: readonly string[]): string {
  return urls
    .toSorted((left, right) => left.localeCompare(right, 'en', { numeric: true }))
    .join(' ');
}
