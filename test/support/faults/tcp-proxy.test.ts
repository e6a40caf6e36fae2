import { createServer, connect, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../until.ts';
import { TcpProxy } from './tcp-proxy.ts';

let echo: Server;
let accepted: Socket[];
let proxy: TcpProxy;
let socket: Socket;
let seen: { text: string; isClosed: boolean };

beforeEach(async () => {
  accepted = [];
  echo = createServer((each) => {
    accepted.push(each);
    each.on('error', () => each.destroy());
    each.pipe(each);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const { port } = echo.address() as { port: number };
  proxy = await TcpProxy.start(() => ({ host: '127.0.0.1', port }));
  const mine: typeof seen = { text: '', isClosed: false };
  seen = mine;
  socket = connect(proxy.port, '127.0.0.1');
  socket.on('data', (chunk) => (mine.text += chunk.toString()));
  socket.on('error', () => socket.destroy());
  socket.on('close', () => (mine.isClosed = true));
  socket.write('a');
  await until('the first byte is back', () => seen.text === 'a');
});

afterEach(async () => {
  socket.destroy();
  await proxy.close();
  await new Promise((resolve) => echo.close(resolve));
});

test('bytes pass whole and in order, many of them too', async () => {
  const text = Array.from({ length: 200_000 }, (_, i) => i).join(' ');
  socket.write(text);
  await until('all is back', () => seen.text.length === text.length + 1);
  expect(seen.text).toBe(`a${text}`);
});

test.each([
  ['up', 0],
  ['down', 1],
] as const)('what is held %s arrives once it is let go', async (direction, arrived) => {
  let received = '';
  accepted[0]!.on('data', (chunk: Buffer) => (received += chunk.toString()));
  proxy.hold([direction]);
  socket.write('b');
  if (arrived === 1) await until('the server has it', () => received === 'b');
  await new Promise((resolve) => setImmediate(resolve));
  expect([seen.text, seen.isClosed]).toEqual(['a', false]);
  proxy.heal();
  await until('it is back', () => seen.text === 'ab');
});

test('a new connection is held too', async () => {
  proxy.hold(['up', 'down']);
  const second = connect(proxy.port, '127.0.0.1');
  let answer = '';
  second.on('data', (chunk) => (answer += chunk.toString()));
  second.write('x');
  await until('it reached the server', () => accepted.length === 2);
  expect(answer).toBe('');
  proxy.heal();
  await until('its byte is back', () => answer === 'x');
  second.destroy();
});

test('delayed bytes arrive, in order', async () => {
  proxy.delay(30);
  socket.write('b');
  socket.write('c');
  await until('they are back', () => seen.text === 'abc');
});

test('a cut ends connections, and new ones are taken', async () => {
  proxy.cut();
  await until('it is closed', () => seen.isClosed);
  const second = connect(proxy.port, '127.0.0.1');
  second.end('x');
  const [chunk] = (await once(second, 'data')) as [Buffer];
  expect(chunk.toString()).toBe('x');
});

test('half-open: the server sees the end, the other side only when it is healed', async () => {
  const ended = once(accepted[0]!, 'close');
  proxy.halfOpen();
  await ended;
  expect(seen.isClosed).toBe(false);
  proxy.heal();
  await until('it is closed', () => seen.isClosed);
});

test('a refusing proxy ends every connection until it is healed', async () => {
  proxy.refuse();
  await until('it is closed', () => seen.isClosed);
  const refused = connect(proxy.port, '127.0.0.1');
  refused.on('error', () => refused.destroy());
  await new Promise((resolve) => refused.once('close', resolve));
  proxy.heal();
  const taken = connect(proxy.port, '127.0.0.1');
  taken.end('x');
  const [chunk] = (await once(taken, 'data')) as [Buffer];
  expect(chunk.toString()).toBe('x');
});
