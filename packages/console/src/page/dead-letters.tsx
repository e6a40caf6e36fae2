// Entries of the log that could not be applied: why, and once more.

import type { DeadLetter, DeadLetterSelection } from '@engram/client';
import { bytesText, counted } from '@engram/diagnosis';
import { useState } from 'preact/hooks';
import { client } from './connection.ts';
import { LETTERS_ASKED, type Shown } from './live.ts';
import { sentence } from './text.ts';

const DETAIL_CHARS_MAX = 1_000;

interface Props {
  readonly shown: Shown;
  readonly onChange: () => Promise<void>;
}

type Done = { readonly text: string; readonly state: 'fine' | 'warning' | 'failure' };

export function DeadLetters({ shown: { letters }, onChange }: Props) {
  const [done, setDone] = useState<Done>();
  const [isBusy, setBusy] = useState(false);
  const work = async (act: () => Promise<Done>) => {
    setBusy(true);
    try {
      setDone(await act());
    } catch (error) {
      setDone({ text: sentence(error), state: 'failure' });
    } finally {
      setBusy(false);
      await onChange();
    }
  };
  return (
    <>
      <h2>Dead letters</h2>
      {done !== undefined && (
        <p class={`notice ${done.state}`} role="status">
          {done.text}
        </p>
      )}
      {letters === undefined ? (
        <p class="notice">The gateway is asked…</p>
      ) : letters.length === 0 ? (
        <p class="notice fine">There are none: everything in the log could be applied.</p>
      ) : (
        <>
          <Reasons letters={letters} isBusy={isBusy} work={(act) => void work(act)} />
          <List letters={letters} isBusy={isBusy} work={(act) => void work(act)} />
        </>
      )}
    </>
  );
}

interface PartProps {
  readonly letters: readonly DeadLetter[];
  readonly isBusy: boolean;
  readonly work: (act: () => Promise<Done>) => void;
}

/** By reason: what is mended is mended for all of them. */
function Reasons({ letters, isBusy, work }: PartProps) {
  const counts = new Map<string, number>();
  for (const { reason } of letters) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return (
    <ul class="reasons">
      {[...counts].map(([reason, count]) => (
        <li key={reason}>
          <b>{reason}</b> {count}
          {letters.length === LETTERS_ASKED && ' or more'}
          <button type="button" disabled={isBusy} onClick={() => work(() => redriven({ reason }))}>
            Redrive all <span class="spoken">of {reason}</span>
          </button>
          <button
            type="button"
            disabled={isBusy}
            onClick={() => {
              if (
                confirm(
                  `Delete all dead letters of ${reason} for good, also those that are not listed?`,
                )
              )
                work(() => purged(reason));
            }}
          >
            Delete all <span class="spoken">of {reason}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function List({ letters, isBusy, work }: PartProps) {
  return (
    <div class="wide" tabIndex={0} role="region" aria-label="Dead letters">
      <table>
        <thead>
          <tr>
            <th scope="col">Written</th>
            <th scope="col">Reason</th>
            <th scope="col">Space</th>
            <th scope="col">What is wrong</th>
            <th scope="col" class="number">
              Size
            </th>
            <th scope="col">
              <span class="spoken">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {letters.map((letter) => (
            <tr key={letter.id}>
              <td>
                <time dateTime={letter.writtenAt}>
                  {new Date(letter.writtenAt).toLocaleTimeString()}
                </time>
              </td>
              <td>{letter.reason}</td>
              <td>{letter.space ?? '–'}</td>
              <td class="detail">{shortened(letter.detail)}</td>
              <td class="number">{bytesText(letter.bytes)}</td>
              <td>
                <button
                  type="button"
                  disabled={isBusy}
                  onClick={() => work(() => redriven({ ids: [letter.id] }))}
                >
                  Redrive <span class="spoken">{letter.id}</span>
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Enough to see what is wrong; a browser takes minutes to break a line of a megabyte. */
function shortened(text: string): string {
  return text.length > DETAIL_CHARS_MAX ? `${text.slice(0, DETAIL_CHARS_MAX)}…` : text;
}

async function redriven(selection: DeadLetterSelection): Promise<Done> {
  const { redriven: count, refused } = await client().deadLetters.redrive(selection);
  const [first] = refused;
  const sent = `${counted(count, 'letter')} sent again`;
  if (first === undefined) return { text: `${sent}.`, state: 'fine' };
  return {
    text: `${sent}, ${refused.length} refused; the first: ${first.detail}`,
    state: 'warning',
  };
}

async function purged(reason: string): Promise<Done> {
  const { purged: count } = await client().deadLetters.purge({ reason });
  return { text: `${counted(count, 'letter')} deleted.`, state: 'fine' };
}
