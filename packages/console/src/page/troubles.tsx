import { counted, type Check } from '@engram/diagnosis';

/** What is wrong now, in words, with what to do. */
export function Troubles({ checks }: { readonly checks: readonly Check[] }) {
  const troubles = checks.filter(({ state }) => state !== 'ok');
  // What is spoken changes with what is wrong, not with each number in it.
  const names = [...new Set(troubles.map(({ name }) => name))];
  return (
    <>
      <p class="spoken" role="status">
        {troubles.length > 0 && `${counted(troubles.length, 'trouble')}: ${names.join(', ')}`}
      </p>
      <List checks={checks} troubles={troubles} />
    </>
  );
}

interface ListProps {
  readonly checks: readonly Check[];
  readonly troubles: readonly Check[];
}

function List({ checks, troubles }: ListProps) {
  if (checks.length === 0) return <p class="notice">The gateway is asked…</p>;
  if (troubles.length === 0)
    return <p class="notice fine">All is well: {counted(checks.length, 'check')} are fine.</p>;
  return (
    <ul class="troubles">
      {troubles.map(({ name, state, found, advice }, i) => (
        <li key={i} class={`notice ${state}`}>
          <b>
            {state === 'failure' ? 'Fails' : 'Warning'}: {name}
          </b>{' '}
          {found}.<p>{advice}</p>
        </li>
      ))}
    </ul>
  );
}
