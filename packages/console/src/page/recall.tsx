// A recall, tried: by id or by a vector, the graphs beside an exact search.

import {
  ClusterError,
  type RecallHit,
  type RecallQuery,
  type RecallResult,
  type SpaceSummary,
} from '@engram/client';
import { useEffect, useId, useState } from 'preact/hooks';
import { client } from './connection.ts';
import { ms, sentence } from './text.ts';

interface Answer {
  readonly result: RecallResult;
  /** As the browser saw it, the way there and back included. */
  readonly elapsedMs: number;
}

interface Answers {
  readonly graph: Answer;
  readonly exact: Answer;
}

interface Fields {
  readonly space: string;
  /** An id of the space, or an array of numbers. */
  readonly wanted: string;
  readonly k: string;
  readonly ef: string;
  readonly filter: string;
}

export function Recall({ space }: { readonly space: string | undefined }) {
  const [fields, setFields] = useState<Fields>({
    space: space ?? '',
    wanted: '',
    k: '10',
    ef: '',
    filter: '',
  });
  const [answers, setAnswers] = useState<Answers>();
  const [error, setError] = useState<unknown>();
  const [isAsking, setAsking] = useState(false);
  useEffect(() => {
    if (space !== undefined) setFields((before) => ({ ...before, space }));
  }, [space]);
  const ask = async (event: Event) => {
    event.preventDefault();
    setAsking(true);
    try {
      setAnswers(await bothWays(fields));
      setError(undefined);
    } catch (cause) {
      setAnswers(undefined);
      setError(cause);
    } finally {
      setAsking(false);
    }
  };
  return (
    <>
      <h2>Recall</h2>
      <form class="query" onSubmit={(event) => void ask(event)}>
        <Inputs
          fields={fields}
          change={(changed) => {
            setFields({ ...fields, ...changed });
            setError(undefined);
          }}
        />
        <button type="submit" disabled={isAsking || fields.space === '' || fields.wanted === ''}>
          {isAsking ? 'Asking…' : 'Recall'}
        </button>
      </form>
      {error !== undefined && (
        <p class="notice failure" role="alert">
          {faultText(error)}
        </p>
      )}
      {answers !== undefined && <Both answers={answers} />}
    </>
  );
}

/** A port of operators serves no recalls. */
function faultText(error: unknown): string {
  if (error instanceof ClusterError && error.code === 'ROUTE_NOT_FOUND')
    return 'This port serves operators only: recalls are on the data port of the gateway.';
  return sentence(error);
}

interface InputsProps {
  readonly fields: Fields;
  readonly change: (changed: Partial<Fields>) => void;
}

function Inputs({ fields, change }: InputsProps) {
  const [spaces, setSpaces] = useState<readonly SpaceSummary[]>([]);
  const list = useId();
  useEffect(() => {
    void firstSpaces().then(setSpaces, () => undefined); // the name can be typed all the same
  }, []);
  return (
    <>
      <label>
        Space
        <input
          list={list}
          required
          value={fields.space}
          onInput={({ currentTarget: { value } }) => change({ space: value })}
        />
        <datalist id={list}>
          {spaces.map(({ space }) => (
            <option key={space} value={space} />
          ))}
        </datalist>
      </label>
      <label class="long">
        Near what
        <textarea
          rows={2}
          required
          placeholder="an id of the space, or [0.1, 0.2, …]"
          value={fields.wanted}
          onInput={({ currentTarget: { value } }) => change({ wanted: value })}
        />
      </label>
      <label>
        k
        <input
          type="number"
          min={1}
          max={1000}
          required
          value={fields.k}
          onInput={({ currentTarget: { value } }) => change({ k: value })}
        />
      </label>
      <label>
        ef
        <input
          type="number"
          min={1}
          placeholder="default"
          value={fields.ef}
          onInput={({ currentTarget: { value } }) => change({ ef: value })}
        />
      </label>
      <label class="long">
        Filter
        <input
          placeholder='{"lang": "en"}'
          value={fields.filter}
          onInput={({ currentTarget: { value } }) => change({ filter: value })}
        />
      </label>
    </>
  );
}

async function firstSpaces(): Promise<SpaceSummary[]> {
  const spaces: SpaceSummary[] = [];
  for await (const space of client().spaces({ pageSize: 200 })) {
    spaces.push(space);
    if (spaces.length === 200) break;
  }
  return spaces;
}

/** The same query one after the other, so that neither waits for the other. */
async function bothWays(fields: Fields): Promise<Answers> {
  const query: RecallQuery = {
    embedding: await embeddingOf(fields),
    k: Number(fields.k),
    ...(fields.ef === '' ? {} : { ef: Number(fields.ef) }),
    ...(fields.filter.trim() === '' ? {} : { filter: objectOf(fields.filter) }),
    include: ['metadata'],
  };
  return {
    graph: await timed(fields.space, query),
    exact: await timed(fields.space, { ...query, exact: true }),
  };
}

async function timed(space: string, query: RecallQuery): Promise<Answer> {
  const begunAt = performance.now();
  const result = await client().recall(space, query);
  return { result, elapsedMs: performance.now() - begunAt };
}

async function embeddingOf({ space, wanted }: Fields): Promise<readonly number[] | Float32Array> {
  const text = wanted.trim();
  if (!text.startsWith('[')) return (await client().get(space, text)).embedding;
  const values = parsed(text, 'Near what');
  if (Array.isArray(values) && values.every((value) => typeof value === 'number')) return values;
  throw new Error('Near what: give an id, or an array of numbers');
}

function objectOf(text: string): Record<string, unknown> {
  const value = parsed(text, 'Filter');
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new Error('Filter: give a JSON object');
}

function parsed(text: string, field: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new Error(`${field}: ${sentence(cause)}`, { cause });
  }
}

function Both({ answers: { graph, exact } }: { readonly answers: Answers }) {
  const nearest = new Set(exact.result.results.map(({ id }) => id));
  const found = graph.result.results.filter(({ id }) => nearest.has(id)).length;
  const both = new Set(graph.result.results.map(({ id }) => id).filter((id) => nearest.has(id)));
  return (
    <>
      <p role="status">
        {nearest.size === 0 ? (
          'Nothing was found: the space is empty, or nothing matches the filter.'
        ) : (
          <>
            The graphs found <b>{found}</b> of the <b>{nearest.size}</b> that are nearest.
          </>
        )}
      </p>
      <div class="both">
        <Results title="Graphs" answer={graph} both={both} />
        <Results title="Exact" answer={exact} both={both} />
      </div>
    </>
  );
}

interface ResultsProps {
  readonly title: string;
  readonly answer: Answer;
  readonly both: ReadonlySet<string>;
}

function Results({ title, answer: { result, elapsedMs }, both }: ResultsProps) {
  return (
    <section aria-label={title}>
      <h3>
        {title}: {ms(result.tookMs)} <span class="quiet">({ms(elapsedMs)} here)</span>
      </h3>
      {result.degraded && <p class="notice warning">Something may be missing.</p>}
      <div class="wide" tabIndex={0} role="region" aria-label={`${title}, results`}>
        <table>
          <thead>
            <tr>
              <th scope="col" class="number">
                Score
              </th>
              <th scope="col">Id</th>
              <th scope="col">Metadata</th>
            </tr>
          </thead>
          <tbody>
            {result.results.map((hit) => (
              <Hit key={hit.id} hit={hit} isInBoth={both.has(hit.id)} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Hit({ hit, isInBoth }: { readonly hit: RecallHit; readonly isInBoth: boolean }) {
  const { id, score, metadata } = hit;
  return (
    <tr class={isInBoth ? '' : 'alone'}>
      <td class="number">{score.toFixed(4)}</td>
      <th scope="row">
        {id}
        {!isInBoth && <span class="state warning">only here</span>}
      </th>
      <td class="json">{metadata === undefined ? '' : JSON.stringify(metadata)}</td>
    </tr>
  );
}
