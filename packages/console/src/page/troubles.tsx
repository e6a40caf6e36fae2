import type { Check } from '@engram/diagnosis';
import { counted } from '@engram/diagnosis';

/** What is wrong now, in words, with what to do. */
export function Troubles({ checks }: { readonly checks: readonly Check[] }) {
  const troubles = checks.filter(({ state }) => state !== 'ok');
  if (checks.length === 0) return <p class="notice">The gateway is asked…</p>;
  if (troubles.length === 0)
    return <p class="notice fine">All is well: {counted(checks.length, 'check')} are fine.</p>;
  return (
    <ul class="troubles" aria-live="polite">
      {troubles.map(({ name, state, found, advice }) => (
        <li key={`${name} ${found}`} class={`notice ${state}`}>
          <b>
            {state === 'failure' ? 'Fails' : 'Warning'}: {name}
          </b>{' '}
          {found}.<p>{advice}</p>
        </li>
      ))}
    </ul>
  );
}
