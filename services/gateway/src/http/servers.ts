// What NATS and Redis are, as far as they answer a gateway.

import { streamState, type LogConnection } from '@engram/log';
import type { Membership } from '@engram/membership';

const ANSWER_MS = 1_000;

export interface Servers {
  readonly nats: {
    readonly connected: boolean;
    readonly version?: string;
    /** Of all stripes of the log; absent where the server does not tell. */
    readonly logBytes?: number;
    readonly logBytesMax?: number;
  };
  readonly redis: { readonly connected: boolean; readonly version?: string };
}

/** Never fails: what does not answer within a second is left away. */
export async function serversOf(
  connection: LogConnection,
  membership: Membership,
  stripeCount: number,
): Promise<Servers> {
  const [log, redisVersion] = await Promise.all([
    logSize(connection, stripeCount),
    membership.serverVersion().catch(() => undefined),
  ]);
  const { isConnected, serverVersion } = connection;
  return {
    nats: {
      connected: isConnected,
      ...(serverVersion === undefined ? {} : { version: serverVersion }),
      ...log,
    },
    redis: {
      connected: membership.isCurrent,
      ...(redisVersion === undefined ? {} : { version: redisVersion }),
    },
  };
}

/** From 0 to 1; undefined where NATS does not tell, or there is no limit. */
export function logFill({ nats: { logBytes = 0, logBytesMax = 0 } }: Servers): number | undefined {
  return logBytesMax > 0 ? logBytes / logBytesMax : undefined;
}

/** Of all stripes; undefined where NATS does not tell. */
export async function logSize(
  connection: LogConnection,
  stripeCount: number,
): Promise<{ readonly logBytes: number; readonly logBytesMax: number } | undefined> {
  if (!connection.isConnected) return undefined;
  const stripes = Array.from({ length: stripeCount }, (_, stripe) =>
    streamState(connection, stripe, ANSWER_MS),
  );
  const states = await Promise.all(stripes).catch(() => undefined);
  return (
    states && {
      logBytes: states.reduce((sum, { bytes }) => sum + bytes, 0),
      logBytesMax: states.reduce((sum, { bytesMax }) => sum + bytesMax, 0),
    }
  );
}
