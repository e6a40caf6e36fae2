import { expect, test } from 'vitest';
import { startTracing } from '../src/start.ts';
import { NO_TRACING, traced, type Span } from '../src/tracing.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const SERVER = { kind: 'server' } as const;

const start = (ratio: number) =>
  startTracing({ url: 'http://127.0.0.1:9/otlp', ratio, service: 'test', member: 'test-1' });

test('without a collector there is no span, and nothing to end', async () => {
  const tracing = await startTracing({ url: undefined, ratio: 1, service: 'test', member: 'a' });
  expect(tracing).toBe(NO_TRACING);
  expect(tracing.begin('a', `00-${TRACE}-${PARENT}-01`, SERVER)).toBeUndefined();
  await tracing[Symbol.asyncDispose]();
});

test('a span goes on in the trace of its caller, where that is one and is looked at', async () => {
  await using tracing = await start(1);
  const span = tracing.begin('a', `00-${TRACE}-${PARENT}-01`, SERVER)!;
  expect(span.traceparent).toMatch(new RegExp(`^00-${TRACE}-(?!${PARENT})[0-9a-f]{16}-01$`));
  expect(tracing.continue('b', span.traceparent, SERVER)!.traceparent).toContain(TRACE);
  expect(tracing.begin('a', `00-${TRACE}-${PARENT}-00`, SERVER)).toBeUndefined();
  for (const none of [undefined, '', 'x', `00-${'0'.repeat(32)}-${PARENT}-01`]) {
    expect(tracing.continue('b', none, SERVER)).toBeUndefined();
    expect(tracing.begin('a', none, SERVER)!.traceparent).not.toContain(TRACE);
  }
});

test('of new traces only the wanted share is looked at', async () => {
  await using tracing = await start(0);
  expect(tracing.begin('a', undefined, SERVER)).toBeUndefined();
  expect(tracing.begin('a', `00-${TRACE}-${PARENT}-01`, SERVER)).toBeDefined();
});

test('the span of some work ends with it, and says why it failed', async () => {
  const ends: unknown[] = [];
  const span: Span = { traceparent: '', set: () => undefined, end: (error) => ends.push(error) };
  expect(await traced(span, () => Promise.resolve(1))).toBe(1);
  await expect(traced(span, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(ends).toEqual([undefined, new Error('no')]);
  expect(await traced(undefined, () => Promise.resolve(2))).toBe(2);
});
