import type { MemberId } from '@engram/model';
import type { LogConnection } from './connection.ts';

/** What shards say of their load; anybody may subscribe to `engram.signal.>`. */
const PREFIX = 'engram.signal';

/** Said to whoever listens now; lost while NATS is away. */
export function publishSignal(connection: LogConnection, member: MemberId, text: string): void {
  if (connection.isConnected) connection.nc.publish(`${PREFIX}.${member}`, text);
}

/** Calls back with what any member says, also after outages; returns what ends that. */
export function onSignals(connection: LogConnection, listener: (text: string) => void): () => void {
  const subscription = connection.nc.subscribe(`${PREFIX}.*`, {
    callback: (error, message) => {
      if (error === null) listener(message.string());
    },
  });
  return () => subscription.unsubscribe();
}
