import type { HttpSend } from './http.ts';

/** By the runtime's own fetch, with its kept-alive connections. */
export const send: HttpSend = async (url, request) => {
  const response = await fetch(url, { ...request, redirect: 'manual' });
  return {
    status: response.status,
    header: (name) => response.headers.get(name) ?? undefined,
    chunks: () => chunksOf(response.body),
  };
};

async function* chunksOf(
  body: ReadableStream<Uint8Array> | null,
): AsyncGenerator<Uint8Array, void> {
  if (body === null) return;
  // Not every browser iterates over a stream itself.
  const reader = body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    yield value;
  }
}
