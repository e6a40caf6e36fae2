import { createServer } from 'node:net';
import { SetupError, systemCode } from './setup-error.ts';

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

/** The failure of a start whose port another program has. */
export function portInUse(port: number): SetupError {
  return new SetupError('PORT_IN_USE', `port ${port} is in use by another program`, {
    hint: 'choose another with --port, or find the program with: ss -ltnp',
  });
}

/** The preferred port while nobody listens on it, else a free one. */
export async function freePortLike(preferred: number | undefined): Promise<number> {
  if (preferred !== undefined && (await isPortFree(preferred))) return preferred;
  return freePort();
}

/** A port on which nobody listens; somebody may take it before it is used. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no free port between ${FIRST} and ${LAST} in ${ATTEMPTS} attempts`);
}
