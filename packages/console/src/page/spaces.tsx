// The spaces with their counts, a page at a time: each is asked of the shard that has it.

import type { ClusterStatus, SpaceStatus, SpaceSummary } from '@engram/client';
import { bytesText } from '@engram/diagnosis';
import { LANES } from '@engram/model';
import { useEffect, useState } from 'preact/hooks';
import { client } from './connection.ts';
import type { Shown } from './live.ts';
import { ms, sentence, whole } from './text.ts';

const ROWS = 25;
const LISTED_MAX = 10_000;
const LOOK_MS = 3_000;

export function Spaces({ shown }: { readonly shown: Shown }) {
  const [all, setAll] = useState<readonly SpaceSummary[]>();
  const [error, setError] = useState<unknown>();
  const [wanted, setWanted] = useState('');
  const [page, setPage] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    let isLooking = false;
    const look = async () => {
      // One after the other, however slow the gateway is.
      if (isLooking || document.hidden) return;
      isLooking = true;
      try {
        setAll(await listed(stop.signal));
        setError(undefined);
      } catch (cause) {
        if (!stop.signal.aborted) setError(cause);
      } finally {
        isLooking = false;
      }
    };
    void look();
    const timer = setInterval(() => void look(), LOOK_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, []);
  const found = (all ?? []).filter(({ space }) => space.includes(wanted));
  const pages = Math.max(1, Math.ceil(found.length / ROWS));
  const at = Math.min(page, pages - 1);
  const rows = found.slice(at * ROWS, (at + 1) * ROWS);
  return (
    <>
      <h2>Spaces</h2>
      {error !== undefined && (
        <p class="notice failure" role="alert">
          {sentence(error)}
        </p>
      )}
      <div class="fields">
        <label>
          Name has{' '}
          <input
            type="search"
            value={wanted}
            onInput={({ currentTarget }) => setWanted(currentTarget.value)}
          />
        </label>
        <span role="status">
          {all === undefined ? 'asked…' : `${whole(found.length)} of ${whole(all.length)}`}
        </span>
        {pages > 1 && (
          <>
            <button type="button" disabled={at === 0} onClick={() => setPage(at - 1)}>
              Before
            </button>
            <span>
              {at + 1} of {pages}
            </span>
            <button type="button" disabled={at === pages - 1} onClick={() => setPage(at + 1)}>
              Next
            </button>
          </>
        )}
      </div>
      {all?.length === 0 && (
        <p class="notice">
          There is no space yet: <code>engram spaces create notes --dimension 100</code>
        </p>
      )}
      {rows.length > 0 && <Table rows={rows} status={shown.status} />}
    </>
  );
}

async function listed(signal: AbortSignal): Promise<SpaceSummary[]> {
  const spaces: SpaceSummary[] = [];
  for await (const space of client().spaces({ pageSize: 1_000, signal })) {
    spaces.push(space);
    if (spaces.length === LISTED_MAX) break;
  }
  return spaces;
}

interface TableProps {
  readonly rows: readonly SpaceSummary[];
  readonly status: ClusterStatus | undefined;
}

function Table({ rows, status }: TableProps) {
  return (
    <div class="wide" tabIndex={0} role="region" aria-label="Spaces">
      <table>
        <thead>
          <tr>
            <th scope="col">Space</th>
            <th scope="col" class="number">
              Observations
            </th>
            <th scope="col" class="number">
              In graphs
            </th>
            <th scope="col" class="number">
              Memory
            </th>
            <th scope="col">Behind the log</th>
            <th scope="col">Kind</th>
            <th scope="col">Owners</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Row key={row.space} summary={row} status={status} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ summary, status }: { readonly summary: SpaceSummary } & Omit<TableProps, 'rows'>) {
  const { space, dimension, metric, engine, quantization } = summary;
  const [told, setTold] = useState<SpaceStatus>();
  useEffect(() => {
    const stop = new AbortController();
    client()
      .space(space, { signal: stop.signal })
      .then(setTold)
      // It may just have been deleted, which the list says soon; a look that was given up says nothing.
      .catch(() => {
        if (!stop.signal.aborted) setTold(undefined);
      });
    return () => stop.abort();
  }, [space, summary]);
  return (
    <tr>
      <th scope="row">
        <a href={`#/recall/${encodeURIComponent(space)}`}>{space}</a>
      </th>
      <td class="number">{told?.count === undefined ? '…' : whole(told.count)}</td>
      <td class="number">{told?.indexed === undefined ? '…' : whole(told.indexed)}</td>
      <td class="number">{told?.bytes === undefined ? '…' : bytesText(told.bytes)}</td>
      <td>{told?.degraded === true ? 'not served' : behind(told?.owners ?? [], status)}</td>
      <td>
        {dimension}-d {metric}, {engine} {quantization}
      </td>
      <td>{told?.owners.join(', ') ?? '…'}</td>
    </tr>
  );
}

/** The longest lane of its owners; other spaces wait there too. */
function behind(owners: readonly string[], status: ClusterStatus | undefined): string {
  const lags = (status?.members ?? [])
    .filter(({ id }) => owners.includes(id))
    .flatMap(({ pressure }) =>
      pressure === undefined ? [] : LANES.map((lane) => pressure[lane].lagMs),
    );
  return lags.length === 0 ? '…' : ms(Math.max(...lags));
}
