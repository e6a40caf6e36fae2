import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ClusterError } from '@engram/model';
import { expect, test, vi } from 'vitest';
import { EngramClient } from '../src/client.ts';
import { ConnectionError, PartialFailure } from '../src/errors.ts';
import type { SessionPace } from '../src/session/options.ts';
import { FakeStream } from './fake-stream.ts';

const some = (count: number, prefix = 'o') =>
  Array.from({ length: count }, (_, i) => ({ id: `${prefix}${i}`, embedding: [i] }));

/** Answers everything as it comes. */
const willing: FakeStream['onMessage'] = ({ type, seq, resume }, self) => {
  if (type === 'open') self.opened(resume?.acked);
  else if (seq !== undefined) self.ack(seq);
};

test('what does not fit into one batch goes in several, with one answer', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = ({ type, seq }, self) => {
    if (type === 'open') self.opened();
    // Answered together, with a fault in the second.
    if (seq !== 3) return;
    const error = { index: 1, id: 'o11', code: 'ZERO_EMBEDDING' as const, detail: 'no direction' };
    const refused = [{ seq: 2, rejected: 1, errors: [error], errorsTruncated: false }];
    self.ack(3, { refused, level: 'searchable' });
  };
  await using session = new EngramClient({ url: gateway.url }).session({ space: 'docs' });
  const failure = await session.put(some(25)).catch((error: unknown) => error);
  expect(gateway.batches()).toEqual([1, 2, 3]);
  expect(failure).toBeInstanceOf(PartialFailure);
  expect((failure as PartialFailure).result).toMatchObject({
    accepted: 24,
    rejected: 1,
    position: '1-0.3.0',
    ack: 'searchable',
    errors: [{ index: 11, id: 'o11' }],
  });
  expect(session.position).toBe('1-0.3.0');
});

test('nothing is sent beyond the credit, and everything once there is more', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = ({ type }, self) => type === 'open' && self.opened(0, 20);
  await using session = new EngramClient({ url: gateway.url }).session({ space: 'docs' });
  const put = session.put(some(40));
  await vi.waitFor(() => expect(gateway.batches()).toEqual([1, 2]));
  gateway.ack(1, { credit: { items: 30, bytes: 1_000_000 } });
  await vi.waitFor(() => expect(gateway.batches()).toEqual([1, 2, 3]));
  gateway.ack(3, { credit: { items: 50, bytes: 1_000_000 } });
  await vi.waitFor(() => expect(gateway.batches()).toEqual([1, 2, 3, 4]));
  gateway.ack(4);
  expect(await put).toMatchObject({ accepted: 40, rejected: 0 });
});

test('close throws what was refused of what was only sent, once, and ends the session all the same', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = ({ type, seq }, self) => {
    if (type === 'open') self.opened();
    if (seq === undefined) return;
    const error = { index: 0, id: 'o0', code: 'ZERO_EMBEDDING' as const, detail: 'no direction' };
    self.ack(seq, { refused: [{ seq, rejected: 1, errors: [error], errorsTruncated: false }] });
  };
  const client = new EngramClient({ url: gateway.url });
  const told = client.session({ space: 'docs' });
  await told.send(some(1));
  await expect(told.flush()).rejects.toMatchObject({ code: 'NOTHING_ACCEPTED' });
  await told.close();
  const untold = client.session({ space: 'docs' });
  await untold.send(some(1));
  await expect(untold.close()).rejects.toMatchObject({ code: 'NOTHING_ACCEPTED' });
  await untold.close();
  await expect(untold.send(some(1))).rejects.toThrow('the session is closed');
});

test('a call waits while too much is not acknowledged', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = ({ type }, self) => type === 'open' && self.opened();
  const client = new EngramClient({ url: gateway.url });
  await using session = client.session({ space: 'docs', bufferBytesMax: 1 });
  await session.send(some(1));
  let isTaken = false;
  const second = session.send(some(1)).then(() => (isTaken = true));
  await vi.waitFor(() => expect(gateway.batches()).toEqual([1]));
  expect(isTaken).toBe(false);
  gateway.ack(1);
  await second;
  gateway.onMessage = willing;
  gateway.ack(2);
});

test('after a lost connection all that is not acknowledged is sent again, byte by byte', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = ({ type }, self) => type === 'open' && self.opened();
  await using session = new EngramClient({ url: gateway.url }).session({ space: 'docs' });
  const puts = [1, 2, 3].map((n) => session.put(some(1, `put${n}-`)));
  await vi.waitFor(() => expect(gateway.batches()).toEqual([1, 2, 3]));
  gateway.ack(1);
  await puts[0];
  const before = gateway.texts.slice(-2);
  gateway.onMessage = willing;
  gateway.lose();
  expect(await Promise.all(puts)).toHaveLength(3);
  expect(gateway.batches()).toEqual([1, 2, 3, 2, 3]);
  expect(gateway.texts.slice(-2)).toEqual(before);
  expect(gateway.received.filter(({ type }) => type === 'open').at(-1)).toMatchObject({
    resume: { session: 's-1', acked: 1 },
  });
});

test('a gateway that goes away is sent nothing more, and the next one takes over', async () => {
  await using first = await FakeStream.start();
  await using second = await FakeStream.start();
  second.onMessage = willing;
  first.onMessage = ({ type }, self) => type === 'open' && self.opened();
  const client = new EngramClient({ url: [first.url, second.url] });
  await using session = client.session({ space: 'docs' });
  const before = session.put(some(1));
  await vi.waitFor(() => expect(first.batches()).toEqual([1]));
  first.send({ type: 'goaway', reason: 'draining', reconnectAfterMs: 60_000 });
  // It is told in order, so by its acknowledgement the client knows.
  first.ack(1);
  await before;
  const after = session.put(some(1));
  await session.send(some(1));
  expect(first.batches()).toEqual([1]);
  first.close(1001);
  expect(await after).toMatchObject({ accepted: 1 });
  expect(second.batches()).toEqual([2, 3]);
  expect(second.received[0]).toMatchObject({ resume: { session: 's-1', acked: 1 } });
});

test('a paused session sends nothing, and says why', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = ({ type }, self) => type === 'open' && self.opened();
  const paces: (SessionPace | undefined)[] = [];
  const client = new EngramClient({ url: gateway.url });
  const onPace = (pace: SessionPace | undefined) => void paces.push(pace);
  await using session = client.session({ space: 'docs', onPace });
  const puts = [session.put(some(1))];
  await vi.waitFor(() => expect(gateway.batches()).toEqual([1]));
  const problem = { code: 'BACKPRESSURE', status: 429, detail: 'much waits', retryable: true };
  gateway.send({ type: 'pause', reason: 'lag', problem, retryAfterMs: 10 });
  const paused = { state: 'paused', reason: 'lag', detail: 'much waits' };
  await vi.waitFor(() => expect(paces).toEqual([paused]));
  puts.push(session.put(some(1)));
  await new Promise((resolve) => setImmediate(resolve));
  expect(gateway.batches()).toEqual([1]);
  gateway.send({ type: 'resume' });
  await vi.waitFor(() => expect(gateway.batches()).toEqual([1, 2]));
  gateway.ack(2);
  await Promise.all(puts);
  expect(paces).toEqual([paused, undefined]);
});

test('a session that is closed because it is idle comes back with the next call', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = willing;
  await using session = new EngramClient({ url: gateway.url }).session({ space: 'docs' });
  await session.put(some(1));
  const problem = { code: 'SESSION_IDLE', status: 408, detail: 'idle', retryable: true };
  gateway.send({ type: 'problem', problem });
  gateway.close(4408);
  expect(await session.put(some(1))).toMatchObject({ accepted: 1 });
  expect(gateway.batches().at(-1)).toBe(2);
});

test('what no try can mend fails the calls that wait and those that come', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = (_message, self) => {
    const problem = { code: 'SPACE_NOT_FOUND', status: 404, detail: 'no docs', retryable: false };
    self.send({ type: 'problem', problem });
    self.close(4404);
  };
  const session = new EngramClient({ url: gateway.url }).session({ space: 'docs' });
  await expect(session.put(some(1))).rejects.toMatchObject({ code: 'SPACE_NOT_FOUND' });
  await expect(session.put(some(1))).rejects.toBeInstanceOf(ClusterError);
  await expect(session.close()).rejects.toMatchObject({ code: 'SPACE_NOT_FOUND' });
});

test('the key is sent with the upgrade, and a refusal of it is told at once', async () => {
  const seen: (string | undefined)[] = [];
  const server = createServer();
  server.on('upgrade', (request, socket) => {
    seen.push(request.headers.authorization);
    socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const apiKey = () => Promise.resolve('secret');
  const client = new EngramClient({ url: `http://127.0.0.1:${port}`, apiKey });
  const session = client.session({ space: 'docs' });
  await expect(session.put(some(1))).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  expect(seen).toEqual(['Bearer secret']);
  server.close();
});

test('without a gateway a session gives up in time', async () => {
  const gateway = await FakeStream.start();
  await gateway[Symbol.asyncDispose]();
  const client = new EngramClient({ url: gateway.url });
  const session = client.session({ space: 'docs', giveUpAfterMs: 50 });
  await expect(session.put(some(1))).rejects.toBeInstanceOf(ConnectionError);
});

test('a refusal of what was only sent is told by flush, once', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = ({ type, seq }, self) => {
    if (type === 'open') return self.opened();
    const problem = { code: 'INVALID_BODY', status: 400, detail: 'no', retryable: false };
    const refused = { seq: seq!, rejected: 1, errors: [], errorsTruncated: false, problem };
    self.ack(seq!, { refused: [refused] });
  };
  await using session = new EngramClient({ url: gateway.url }).session({ space: 'docs' });
  await session.send(some(1));
  await expect(session.flush()).rejects.toMatchObject({ code: 'INVALID_BODY' });
  await session.flush();
});

test('an aborted call waits no longer, and the session goes on', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = ({ type }, self) => type === 'open' && self.opened();
  await using session = new EngramClient({ url: gateway.url }).session({ space: 'docs' });
  const abort = new AbortController();
  const put = session.put(some(1), { signal: abort.signal });
  await vi.waitFor(() => expect(gateway.batches()).toEqual([1]));
  abort.abort(new Error('enough'));
  await expect(put).rejects.toThrow('enough');
  gateway.onMessage = willing;
  expect(await session.put(some(1))).toMatchObject({ accepted: 1 });
});

test('an observation that fits into no message, and an atomic batch that does not, are refused here', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = willing;
  const client = new EngramClient({ url: gateway.url });
  await using session = client.session({ space: 'docs' });
  const large = { id: 'large', embedding: [1], metadata: { text: 'x'.repeat(100_000) } };
  await expect(session.put([large])).rejects.toMatchObject({ code: 'OBSERVATION_TOO_LARGE' });
  expect(await session.put(some(1))).toMatchObject({ accepted: 1 });
  await using atomic = client.session({ space: 'docs', atomic: true });
  await expect(atomic.put(some(11))).rejects.toMatchObject({ code: 'BATCH_TOO_LARGE' });
  expect(await atomic.put(some(10))).toMatchObject({ accepted: 10 });
});
