import { setTimeout as pause } from 'node:timers/promises';

const POLL_MS = 100;
const ANSWER_MS = 5_000;

/** `late` when the deadline came first, `stopped` when the signal did. */
export type Served = 'served' | 'late' | 'stopped';

/** Waits until every partition has a shard that has read its log and serves it. */
export async function whenServed(
  url: string,
  { signal, deadlineMs }: { readonly signal: AbortSignal; readonly deadlineMs: number },
): Promise<Served> {
  const end = performance.now() + deadlineMs;
  while (!signal.aborted) {
    if (await isServed(url, signal)) return 'served';
    if (performance.now() >= end) return 'late';
    await pause(POLL_MS, undefined, { signal }).catch(() => undefined); // told by the loop's end
  }
  return 'stopped';
}

/** A gateway that does not answer, because it starts again, or no gateway yet, is asked again. */
async function isServed(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const limits = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    const response = await fetch(`${url}/readyz`, { signal: limits });
    if (!response.ok) {
      await response.body?.cancel();
      return false;
    }
    const { checks } = (await response.json()) as {
      readonly checks?: { readonly partitionsWithoutShard?: unknown };
    };
    return checks?.partitionsWithoutShard === 0;
  } catch {
    return false;
  }
}
