import { ClusterError } from '@engram/model';
import { Packr } from 'msgpackr';

// Requests between gateways and shards: MessagePack with embeddings as binary.
const packr = new Packr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

export function encodeWire(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** @throws ClusterError INVALID_MSGPACK */
export function decodeWire(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw new ClusterError('INVALID_MSGPACK', 'the message is not MessagePack', { cause });
  }
}
