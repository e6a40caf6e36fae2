import type { JetStreamManager } from 'nats';
import type { FinalSpace, FinalState, Seen } from '../history/event.ts';
import { until } from '../until.ts';
import { forEachParallel } from '../words.ts';
import { embeddingOf } from './embedding.ts';
import { ask } from './http.ts';
import { seenOf, type LoadSpace } from './recording-client.ts';

const TIMEOUT_MS = 60_000;
const WHOLE_DEADLINE_MS = 120_000;
/** Of a streamed recall; no space of the load has as many observations. */
const EVERYTHING = 10_000;

/**
 * Reads everything there is, when all is quiet. A space that answers with less than all, as one does
 * whose partition moves because a busy machine kept its shard from its heartbeats, is read again.
 * @param idsOf all ids that may be there
 * @throws Error when an answer stays missing, degraded or cut
 */
export async function readFinalState(
  url: string,
  jsm: JetStreamManager,
  spaces: readonly LoadSpace[],
  idsOf: (space: string) => Iterable<string>,
): Promise<FinalState> {
  const states = new Map<string, FinalSpace>();
  for (const space of spaces)
    states.set(
      space.name,
      await until(
        `${space.name} answers with all it has`,
        () => readSpace(url, space, [...idsOf(space.name)]),
        WHOLE_DEADLINE_MS,
      ),
    );
  const { state } = await jsm.streams.info('DLQ', { subjects_filter: 'dlq.>' });
  const deadLetters = Object.keys(state.subjects ?? {}).map((subject) =>
    Number(subject.split('.')[2]),
  );
  return { spaces: states, deadLetters: new Set(deadLetters) };
}

async function readSpace(
  url: string,
  space: LoadSpace,
  ids: readonly string[],
): Promise<FinalSpace> {
  const path = `/v1/spaces/${space.name}`;
  const status = await ask(url, { method: 'GET', path, timeoutMs: TIMEOUT_MS });
  if (status?.status !== 200 || status.body['degraded'] !== false)
    throw new Error(`${space.name} has no whole status: ${JSON.stringify(status)}`);
  const got = new Map<string, Seen | undefined>();
  await forEachParallel(ids, 8, async (id) => {
    const answer = await ask(url, {
      method: 'GET',
      path: `${path}/observations/${encodeURIComponent(id)}`,
      timeoutMs: TIMEOUT_MS,
    });
    if (answer?.status === 200) got.set(id, seenOf(answer.body, space.dimension));
    else if (answer?.body['code'] === 'OBSERVATION_NOT_FOUND') got.set(id, undefined);
    else throw new Error(`${space.name}/${id} was not answered: ${JSON.stringify(answer)}`);
  });
  return { count: Number(status.body['count']), listed: await list(url, space), got };
}

async function list(url: string, { name, dimension }: LoadSpace): Promise<Seen[]> {
  const response = await fetch(new URL(`/v1/spaces/${name}/recall`, url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/x-ndjson' },
    body: JSON.stringify({
      embedding: [...embeddingOf(1, dimension)],
      k: EVERYTHING,
      include: ['metadata', 'embedding'],
    }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const lines = (await response.text()).trimEnd().split('\n');
  const last = JSON.parse(lines.pop() ?? '{}') as { readonly end?: { readonly degraded: boolean } };
  if (!response.ok || last.end?.degraded !== false)
    throw new Error(`${name} cannot be listed: ${JSON.stringify(last)}`);
  return lines.map((line) => seenOf(JSON.parse(line) as object, dimension));
}
