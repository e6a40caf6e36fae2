import { ClusterError } from '@engram/client';
import { useEffect, useState } from 'preact/hooks';
import { DeadLetters } from './dead-letters.tsx';
import { KeyDialog } from './key-dialog.tsx';
import type { Live, Shown } from './live.ts';
import { Overview } from './overview.tsx';
import { Recall } from './recall.tsx';
import { Ring } from './ring.tsx';
import { Spaces } from './spaces.tsx';
import { sentence } from './text.ts';
import { ThemeButton } from './theme.tsx';

const PAGES = [
  { path: '', title: 'Overview' },
  { path: 'ring', title: 'Ring' },
  { path: 'spaces', title: 'Spaces' },
  { path: 'recall', title: 'Recall' },
  { path: 'dead-letters', title: 'Dead letters' },
] as const;
type Path = (typeof PAGES)[number]['path'];

export function App({ live }: { readonly live: Live }) {
  const [shown, setShown] = useState(live.shown);
  useEffect(() => live.listen(setShown), [live]);
  const [path, argument] = useRoute();
  const title = PAGES.find((page) => page.path === path)!.title;
  useEffect(() => {
    document.title = `${title} – Engram Cluster`;
  }, [title]);
  const { error } = shown;
  const needsKey = error instanceof ClusterError && isDenied(error);
  return (
    <>
      <a class="skip" href="#main" onClick={focusMain}>
        Skip to the content
      </a>
      <header>
        <h1>Engram Cluster</h1>
        <nav aria-label="Pages">
          {PAGES.map((page) => (
            <a
              key={page.path}
              href={`#/${page.path}`}
              aria-current={page.path === path ? 'page' : undefined}
            >
              {page.title}
              <Count page={page.path} shown={shown} />
            </a>
          ))}
        </nav>
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1}>
        {needsKey && <KeyDialog error={error} onKey={() => void live.lookAtLetters()} />}
        {error !== undefined && !needsKey && <Unanswered error={error} isOld={shown.isOld} />}
        <Page path={path} argument={argument} shown={shown} live={live} />
      </main>
    </>
  );
}

interface PageProps {
  readonly path: Path;
  readonly argument: string | undefined;
  readonly shown: Shown;
  readonly live: Live;
}

function Page({ path, argument, shown, live }: PageProps) {
  switch (path) {
    case '':
      return <Overview shown={shown} />;
    case 'ring':
      return <Ring shown={shown} />;
    case 'spaces':
      return <Spaces shown={shown} />;
    case 'recall':
      return <Recall space={argument} />;
    case 'dead-letters':
      return <DeadLetters shown={shown} onChange={() => live.lookAtLetters()} />;
  }
}

/** What on a page wants to be looked at. */
function Count({ page, shown }: { readonly page: Path; readonly shown: Shown }) {
  const { checks, ring, letters } = shown;
  const counts: Partial<Record<Path, [count: number, what: string]>> = {
    '': [checks.filter(({ state }) => state !== 'ok').length, 'troubles'],
    ring: [ring?.moves.length ?? 0, 'moves'],
    'dead-letters': [letters?.length ?? 0, 'letters'],
  };
  const [count, what] = counts[page] ?? [0, ''];
  if (count === 0) return null;
  return (
    <span class="count">
      {count}
      <span class="spoken"> {what}</span>
    </span>
  );
}

function Unanswered({ error, isOld }: { readonly error: unknown; readonly isOld: boolean }) {
  return (
    <p class="notice failure" role="alert">
      The gateway does not answer: {sentence(error)}.{' '}
      {isOld ? 'What stands below is old.' : 'It is asked again each second.'}
    </p>
  );
}

function isDenied({ code }: ClusterError): boolean {
  return code === 'UNAUTHENTICATED' || code === 'FORBIDDEN';
}

function useRoute(): [path: Path, argument: string | undefined] {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  const [, path = '', argument] = hash.split('/');
  const known = PAGES.find((page) => page.path === path)?.path ?? '';
  return [known, argument === undefined ? undefined : decoded(argument)];
}

/** Anybody may have typed it. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The hash is the page's, so the link may not set it. */
function focusMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}
