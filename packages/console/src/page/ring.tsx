// The ring: each partition an arc, in the colour of its owner, and what moves as it moves.

import type { RingPartition, RingStatus } from '@engram/client';
import { counted, numberRanges } from '@engram/diagnosis';
import { useState } from 'preact/hooks';
import type { Shown } from './live.ts';
import { byName, ms, whole } from './text.ts';

const SIZE = 400;
const OUTER = 180;
const INNER = 140;
const COLOURS = 12;

export function Ring({ shown: { ring } }: { readonly shown: Shown }) {
  const [chosen, setChosen] = useState<number>();
  if (ring === undefined) return <p class="notice">The gateway is asked…</p>;
  const shards = shardsOf(ring);
  const colourOf = (shard: string | undefined) =>
    shard === undefined ? 'none' : String(shards.indexOf(shard) % COLOURS);
  return (
    <>
      <h2>
        Ring of {counted(ring.partitionCount, 'partition')}, epoch {ring.epoch}
      </h2>
      <div class="ring">
        <Circle ring={ring} chosen={chosen} choose={setChosen} colourOf={colourOf} />
        <div>
          <Chosen ring={ring} chosen={chosen} choose={setChosen} />
          <Owners ring={ring} shards={shards} colourOf={colourOf} />
          <Moves ring={ring} />
        </div>
      </div>
    </>
  );
}

interface CircleProps {
  readonly ring: RingStatus;
  readonly chosen: number | undefined;
  readonly choose: (partition: number | undefined) => void;
  readonly colourOf: (shard: string | undefined) => string;
}

/** For eyes and mice; the tables beside it tell the same. */
function Circle({ ring, chosen, choose, colourOf }: CircleProps) {
  const moving = new Set(ring.moves.map(({ partition }) => partition));
  const unserved = ring.partitions.filter(({ ready }) => ready.length === 0).length;
  const summary =
    unserved > 0
      ? `${unserved} of ${ring.partitionCount} partitions without a shard`
      : `all ${ring.partitionCount} partitions are served, ${counted(ring.moves.length, 'move')}`;
  return (
    <svg viewBox={`0 0 ${SIZE} ${SIZE}`} role="img" aria-label={summary}>
      {ring.partitions.map(({ partition, owners, ready }) => (
        <path
          key={partition}
          d={arc(partition, ring.partitionCount)}
          class={[
            `owner-${ready.length === 0 ? 'none' : colourOf(owners[0])}`,
            moving.has(partition) ? 'moving' : '',
            partition === chosen ? 'chosen' : '',
          ].join(' ')}
          onMouseEnter={() => choose(partition)}
          onClick={() => choose(partition)}
        >
          <title>{`partition ${partition}: ${owners.join(', ') || 'nobody'}`}</title>
        </path>
      ))}
      <text x={SIZE / 2} y={SIZE / 2 - 6} text-anchor="middle" class="large">
        {ring.moves.length === 0 ? 'settled' : counted(ring.moves.length, 'move')}
      </text>
      <text x={SIZE / 2} y={SIZE / 2 + 22} text-anchor="middle">
        {unserved === 0 ? 'all served' : `${unserved} not served`}
      </text>
    </svg>
  );
}

function arc(partition: number, count: number): string {
  const gap = Math.min(0.01, 1 / count);
  const from = (partition / count) * 2 * Math.PI + gap - Math.PI / 2;
  const to = ((partition + 1) / count) * 2 * Math.PI - gap - Math.PI / 2;
  const at = (radius: number, angle: number) =>
    `${(SIZE / 2 + radius * Math.cos(angle)).toFixed(2)} ${(SIZE / 2 + radius * Math.sin(angle)).toFixed(2)}`;
  const large = to - from > Math.PI ? 1 : 0;
  return `M ${at(OUTER, from)} A ${OUTER} ${OUTER} 0 ${large} 1 ${at(OUTER, to)} L ${at(INNER, to)} A ${INNER} ${INNER} 0 ${large} 0 ${at(INNER, from)} Z`;
}

type ChosenProps = Omit<CircleProps, 'colourOf'>;

function Chosen({ ring, chosen, choose }: ChosenProps) {
  const partition = ring.partitions.find((each) => each.partition === chosen);
  return (
    <p>
      <label>
        Partition{' '}
        <input
          type="number"
          min={0}
          max={ring.partitionCount - 1}
          value={chosen ?? ''}
          onInput={({ currentTarget: { value } }) =>
            choose(value === '' ? undefined : Number(value))
          }
        />
      </label>{' '}
      <span role="status">{partition === undefined ? '' : told(partition)}</span>
    </p>
  );
}

function told({ owners, ready }: RingPartition): string {
  const whose = owners.length === 0 ? 'nobody owns it' : `of ${owners.join(', ')}`;
  return `${whose}; ${ready.length === 0 ? 'nobody answers for it' : `${ready.join(', ')} ${ready.length === 1 ? 'answers' : 'answer'} for it`}`;
}

interface OwnersProps {
  readonly ring: RingStatus;
  readonly shards: readonly string[];
  readonly colourOf: (shard: string) => string;
}

function Owners({ ring, shards, colourOf }: OwnersProps) {
  return (
    <div class="wide" tabIndex={0} role="region" aria-label="Shards">
      <table>
        <thead>
          <tr>
            <th scope="col">Shard</th>
            <th scope="col">State</th>
            <th scope="col" class="number">
              Ready
            </th>
            <th scope="col" class="number">
              Lag
            </th>
            <th scope="col">Partitions</th>
          </tr>
        </thead>
        <tbody>
          {shards.map((id) => {
            const member = ring.members.find((each) => each.id === id);
            const owned = ring.partitions.filter(({ owners }) => owners.includes(id));
            return (
              <tr key={id}>
                <th scope="row">
                  <i class={`dot owner-${colourOf(id)}`} aria-hidden="true" /> {id}
                </th>
                <td>
                  {member === undefined
                    ? 'gone'
                    : member.held === undefined
                      ? 'no answer'
                      : member.state}
                </td>
                <td class="number">
                  {member?.ready ?? '?'}/{member?.owned ?? '?'}
                </td>
                <td class="number">{member?.lag === undefined ? '?' : whole(member.lag)}</td>
                <td>{numberRanges(owned.map(({ partition }) => partition)) || 'none'}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Moves({ ring: { moves, replication } }: { readonly ring: RingStatus }) {
  const nobody = replication === 1 ? 'nobody has it' : 'a copy more';
  if (moves.length === 0) return <p class="quiet">Nothing moves.</p>;
  return (
    <div class="wide" tabIndex={0} role="region" aria-label="Moves">
      <table>
        <thead>
          <tr>
            <th scope="col" class="number">
              Partition
            </th>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col">Read</th>
            <th scope="col" class="number">
              Left
            </th>
          </tr>
        </thead>
        <tbody>
          {moves.map(({ partition, from, to, percent, leftMs }) => (
            <tr key={`${partition} ${to}`}>
              <td class="number">{partition}</td>
              <td>{from ?? nobody}</td>
              <td>{to}</td>
              <td>
                <progress
                  aria-label={`Partition ${partition} to ${to}`}
                  max={100}
                  {...(percent === null ? {} : { value: percent })}
                />
              </td>
              <td class="number">{leftMs === null ? '?' : ms(leftMs)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Those of the view, and those that only the assignment still names. */
function shardsOf({ members, partitions }: RingStatus): string[] {
  const ids = new Set(members.filter(({ role }) => role === 'shard').map(({ id }) => id));
  for (const { owners } of partitions) for (const owner of owners) ids.add(owner);
  return [...ids].sort(byName);
}
