import { encodeWire } from '@engram/codec';
import { ClusterError } from '@engram/model';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeClientMessage, decodeServerMessage, encodeMessage } from '../src/codec.ts';
import type { ServerMessage } from '../src/message.ts';
import { closeCode, errorOfProblem, problemOf } from '../src/problem.ts';

const json = (text: string) => decodeClientMessage('json', Buffer.from(text));

test('an open message has defaults, and keeps what it says', () => {
  expect(json('{"type":"open","space":"notes"}')).toEqual({
    type: 'open',
    space: 'notes',
    ack: 'logged',
    ackTimeoutMs: 5_000,
    atomic: false,
  });
  const full = {
    type: 'open',
    space: 'notes',
    ack: 'searchable',
    ackTimeoutMs: 100,
    atomic: true,
    lane: 'high',
    resume: { session: 'a-1', acked: 7 },
  };
  expect(decodeClientMessage('msgpack', encodeWire(full))).toEqual(full);
});

describe('a wrong message is refused with the place of its fault', () => {
  const pointerOf = (decode: () => unknown) => {
    try {
      decode();
    } catch (error) {
      if (error instanceof ClusterError) return [error.code, error.pointer];
      throw error;
    }
    return 'taken';
  };

  test.each([
    ['{', 'INVALID_JSON', undefined],
    ['', 'INVALID_JSON', undefined],
    ['[]', 'INVALID_BODY', ''],
    ['null', 'INVALID_BODY', ''],
    ['{}', 'INVALID_BODY', '/type'],
    ['{"type":"constructor"}', 'INVALID_BODY', '/type'],
    ['{"__proto__":{"type":"open"}}', 'INVALID_JSON', undefined],
    ['{"type":"open"}', 'INVALID_SPACE_NAME', '/space'],
    ['{"type":"open","space":"a b"}', 'INVALID_SPACE_NAME', '/space'],
    ['{"type":"open","space":"a","ack":"soon"}', 'INVALID_BODY', '/ack'],
    ['{"type":"open","space":"a","ackTimeoutMs":1e9}', 'INVALID_BODY', '/ackTimeoutMs'],
    ['{"type":"open","space":"a","lane":"fast"}', 'INVALID_LANE', '/lane'],
    ['{"type":"open","space":"a","atomic":"yes"}', 'INVALID_BODY', '/atomic'],
    ['{"type":"open","space":"a","more":1}', 'INVALID_BODY', '/more'],
    ['{"type":"open","space":"a","resume":[]}', 'INVALID_BODY', '/resume'],
    [
      '{"type":"open","space":"a","resume":{"session":"*.>","acked":1}}',
      'INVALID_BODY',
      '/resume/session',
    ],
    [
      '{"type":"open","space":"a","resume":{"session":"x","acked":-1}}',
      'INVALID_BODY',
      '/resume/acked',
    ],
    ['{"type":"batch","seq":0,"observations":[]}', 'INVALID_BODY', '/seq'],
    ['{"type":"batch","seq":1.5,"observations":[]}', 'INVALID_BODY', '/seq'],
    ['{"type":"batch","seq":"1","observations":[]}', 'INVALID_BODY', '/seq'],
    ['{"type":"batch","seq":1,"observation":[]}', 'INVALID_BODY', '/observation'],
    ['{"type":"recall","k":1}', 'INVALID_BODY', '/recall'],
    ['{"type":"pause","recall":""}', 'INVALID_BODY', '/recall'],
  ])('%s', (text, code, pointer) => {
    expect(pointerOf(() => json(text))).toEqual([code, pointer]);
  });

  test('binary garbage is refused or read, and never breaks anything', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeClientMessage('msgpack', bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ClusterError);
          expect((error as ClusterError).status).toBe(400);
        }
      }),
    );
  });
});

test.each(['json', 'msgpack'] as const)('what a server says arrives as %s', (format) => {
  const message: ServerMessage = {
    type: 'ack',
    upTo: 5_000_000_000,
    position: '3-0.9.0',
    level: 'searchable',
    refused: [{ seq: 3, rejected: 1, errors: [], errorsTruncated: false }],
    credit: { items: 10, bytes: 100 },
  };
  expect(decodeServerMessage(encodeMessage(format, message))).toEqual(message);
});

test('a problem is the same error on the other side, and one of a later version is an error too', () => {
  const error = new ClusterError('SEQUENCE_GAP', 'batch 5 is missing', {
    pointer: '/seq',
    hint: 'send it',
    details: { expected: 5 },
  });
  expect(errorOfProblem(problemOf(error)).toJSON()).toEqual(error.toJSON());
  const unknown = { code: 'OF_TOMORROW', status: 418, detail: 'no', retryable: false };
  expect(errorOfProblem(unknown)).toMatchObject({ code: 'INTERNAL', message: 'no' });
  expect(closeCode('SPACE_NOT_FOUND')).toBe(4_404);
});
