import { useState } from 'preact/hooks';
import { giveKey } from './connection.ts';
import { sentence } from './text.ts';

interface Props {
  readonly error: unknown;
  readonly onKey: () => void;
}

/** Asks for the key of an operator. */
export function KeyDialog({ error, onKey }: Props) {
  const [key, setKey] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    giveKey(key.trim());
    setKey('');
    onKey();
  };
  return (
    <form class="notice" onSubmit={submit} aria-labelledby="key-title">
      <h2 id="key-title">A key is needed</h2>
      <p>
        {sentence(error)}. Give an API key or token with the scope <code>*:admin</code>; it stays in
        this tab.
      </p>
      <div class="fields">
        <label>
          Key
          <input
            type="password"
            autocomplete="off"
            value={key}
            onInput={({ currentTarget }) => setKey(currentTarget.value)}
          />
        </label>
        <button type="submit" disabled={key.trim() === ''}>
          Use it
        </button>
      </div>
    </form>
  );
}
