// What NATS and Redis are, as far as they answer a gateway.

import { logSize, type LogConnection } from '@engram/log';
import type { Membership } from '@engram/membership';

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
      ...(log === undefined ? {} : { logBytes: log.bytes, logBytesMax: log.bytesMax }),
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
