import { decodeWire, encodeWire, parseJson, parseMsgpack } from '@engram/codec';
import { ClusterError } from '@engram/model';
import { Fields } from './fields.ts';
import type { ClientMessage, Format, ServerMessage } from './message.ts';

/** A text for JSON, bytes for MessagePack: a WebSocket sends each as what it is. */
export function encodeMessage(
  format: Format,
  message: ClientMessage | ServerMessage,
): string | Uint8Array {
  return format === 'json' ? JSON.stringify(message) : encodeWire(message);
}

/**
 * A message of a client; what is in a batch or a recall is not looked at.
 * @throws ClusterError INVALID_JSON, INVALID_UTF8, INVALID_MSGPACK, INVALID_BODY and those of its fields
 */
export function decodeClientMessage(format: Format, bytes: Uint8Array): ClientMessage {
  const value = format === 'json' ? parseJson(bytes) : parseMsgpack(bytes);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ClusterError('INVALID_BODY', 'a message must be an object', {
      pointer: '',
      hint: 'the first one is {"type": "open", "space": "…"}',
    });
  return readMessage(value as Readonly<Record<string, unknown>>);
}

/** Of the server: taken as it is. @throws ClusterError INVALID_* */
export function decodeServerMessage(data: string | Uint8Array): ServerMessage {
  const value: unknown = typeof data === 'string' ? JSON.parse(data) : decodeWire(data);
  return value as ServerMessage;
}

function readMessage(value: Readonly<Record<string, unknown>>): ClientMessage {
  const { type } = value;
  switch (type) {
    case 'open': {
      const fields = new Fields(value, [
        'type',
        'space',
        'ack',
        'ackTimeoutMs',
        'lane',
        'atomic',
        'resume',
      ]);
      const lane = fields.lane('lane');
      const resume = fields.resume('resume');
      return {
        type,
        space: fields.space('space'),
        ack: fields.ackLevel('ack'),
        ackTimeoutMs: fields.ackTimeoutMs('ackTimeoutMs'),
        atomic: fields.flag('atomic'),
        ...(lane === undefined ? {} : { lane }),
        ...(resume === undefined ? {} : { resume }),
      };
    }
    case 'batch': {
      const fields = new Fields(value, ['type', 'seq', 'observations']);
      return { type, seq: fields.sequence('seq', 1), observations: value['observations'] };
    }
    case 'recall': {
      const { type: _type, recall: _recall, ...query } = value;
      return { type, recall: new Fields(value).name('recall'), query };
    }
    case 'pause':
    case 'resume':
    case 'cancel':
      return { type, recall: new Fields(value, ['type', 'recall']).name('recall') };
    default:
      throw new ClusterError('INVALID_BODY', 'there is no such type of message', {
        pointer: '/type',
        hint: 'the types are open, batch, recall, pause, resume and cancel',
      });
  }
}
