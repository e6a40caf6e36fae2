import { createServer } from 'node:net';
import { systemCode } from './setup-error.ts';

export const LOOPBACK = '127.0.0.1';

/**
 * Below the ranges from which systems take the ports of outgoing connections (Linux from 32768,
 * macOS from 49152): a client that reconnects to a loopback port inside that range can connect to
 * itself and so keep a restarted server from its own port.
 */
const FIRST = 20_000;
const LAST = 32_000;
const ATTEMPTS = 100;

/** Whether a server could listen on the port now. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      if (['EADDRINUSE', 'EACCES'].includes(systemCode(error) ?? '')) resolve(false);
      else reject(error);
    });
    server.listen({ port, host: LOOPBACK, exclusive: true }, () =>
      server.close(() => resolve(true)),
    );
  });
}

/** A port on which nobody listens; somebody may take it before it is used. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no free port between ${FIRST} and ${LAST} in ${ATTEMPTS} attempts`);
}
