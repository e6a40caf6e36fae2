import { bytesText, counted, type LaneRow, type Sample, type ShardRow } from '@engram/diagnosis';
import { LANES, type Lane } from '@engram/model';
import { useMemo } from 'preact/hooks';
import { Chart, type Line } from './chart.tsx';
import type { Point, Shown } from './live.ts';
import { ms, whole } from './text.ts';
import { Troubles } from './troubles.tsx';

const LANE_COLOURS: Readonly<Record<Lane, string>> = {
  high: '--high',
  normal: '--normal',
  low: '--low',
};

export function Overview({ shown }: { readonly shown: Shown }) {
  const { sample, points, checks } = shown;
  const last = points.at(-1);
  return (
    <>
      <h2 class="spoken">Overview</h2>
      <Troubles checks={checks} />
      <dl class="numbers">
        <Number
          name="applied a second"
          value={sample?.rate === undefined ? '–' : whole(sample.rate)}
        />
        <Number name="searchable after (p99)" value={ms(last?.freshP99Ms)} />
        <Number name="observations" value={observationsText(sample)} />
        <Number
          name="log filled"
          value={sample?.logShare === undefined ? '–' : `${Math.round(sample.logShare * 100)} %`}
        />
      </dl>
      <Charts points={points} />
      {sample !== undefined && <Shards shards={sample.shards} />}
    </>
  );
}

function Number({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** A shard that does not answer has some too. */
function observationsText(sample: Sample | undefined): string {
  if (sample === undefined) return '–';
  const isWhole = sample.shards.every(({ observations }) => observations !== undefined);
  return isWhole ? whole(sample.observations) : `${whole(sample.observations)} + ?`;
}

function Charts({ points }: { readonly points: readonly Point[] }) {
  const timesS = useMemo(() => points.map(({ atS }) => atS), [points]);
  const rates = useMemo(
    () =>
      LANES.map((lane): Line => ({
        label: lane,
        colour: LANE_COLOURS[lane],
        values: points.map((point) => point.rates[lane]),
      })),
    [points],
  );
  const latencies = useMemo(
    () => [
      line('searchable p50', '--low', points, ({ freshP50Ms }) => freshP50Ms),
      line('searchable p99', '--normal', points, ({ freshP99Ms }) => freshP99Ms),
      line('recall p99', '--high', points, ({ recallP99Ms }) => recallP99Ms),
    ],
    [points],
  );
  const lag = useMemo(
    () => [line('longest lane', '--normal', points, ({ lagMs }) => lagMs)],
    [points],
  );
  return (
    <div class="charts">
      <Chart title="Applied a second" timesS={timesS} lines={rates} format={whole} />
      <Chart title="Latency in the shards" timesS={timesS} lines={latencies} format={ms} />
      <Chart title="Lag of the log" timesS={timesS} lines={lag} format={ms} />
    </div>
  );
}

function line(
  label: string,
  colour: string,
  points: readonly Point[],
  of: (point: Point) => number | undefined,
): Line {
  return { label, colour, values: points.map(of) };
}

function Shards({ shards }: { readonly shards: readonly ShardRow[] }) {
  return (
    <div>
      <h2 id="shards">{counted(shards.length, 'shard')}</h2>
      <div class="wide" tabIndex={0} role="region" aria-labelledby="shards">
        <table>
          <thead>
            <tr>
              <th scope="col">Shard</th>
              <th scope="col" class="number">
                Ready
              </th>
              <th scope="col" class="number">
                Observations
              </th>
              <th scope="col" class="number">
                Memory
              </th>
              {LANES.map((lane) => (
                <th scope="col" key={lane}>
                  {lane}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shards.map((shard) => (
              <tr key={shard.shard}>
                <th scope="row">
                  {shard.shard}
                  {shard.state === 'leaving' && ' (leaving)'}
                </th>
                <td class="number">
                  {shard.ready ?? '?'}/{shard.partitions ?? '?'}
                </td>
                <td class="number">
                  {shard.observations === undefined ? '?' : whole(shard.observations)}
                </td>
                <td class="number">
                  {shard.privateBytes === undefined ? '?' : bytesText(shard.privateBytes)}
                  {shard.memory !== undefined && shard.memory !== 'normal' && (
                    <State state={shard.memory} />
                  )}
                </td>
                {shard.lanes.map((row) => (
                  <td key={row.lane}>
                    <LaneCell row={row} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function LaneCell({ row: { state, waiting = 0, lagMs, rate } }: { readonly row: LaneRow }) {
  return (
    <>
      <State state={state ?? 'unknown'} /> {rate === undefined ? '?' : whole(rate)}/s
      {waiting > 0 && (
        <span class="quiet">
          {' '}
          {whole(waiting)} wait, {ms(lagMs)}
        </span>
      )}
    </>
  );
}

function State({ state }: { readonly state: string }) {
  return <span class={`state ${state}`}>{state}</span>;
}
