import { EventEmitter } from 'node:events';
import type { FastifyReply } from 'fastify';
import { expect, test } from 'vitest';
import { whenOver } from '../src/http/when-over.ts';

function reply(closed: boolean) {
  const raw = Object.assign(new EventEmitter(), { closed, destroyed: closed });
  return { raw } as unknown as Pick<FastifyReply, 'raw'>;
}

test('a request that ends gives back what it holds', () => {
  let isOver = false;
  const it = reply(false);
  whenOver(it, () => (isOver = true));
  expect(isOver).toBe(false);
  it.raw.emit('close');
  expect(isOver).toBe(true);
});

test('so does one whose client had gone while it was found out who it is', () => {
  let isOver = false;
  whenOver(reply(true), () => (isOver = true));
  expect(isOver).toBe(true);
});
