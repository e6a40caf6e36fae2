// The socket side of the gateway: TLS, and what one client may hold of it.

import { readFile } from 'node:fs/promises';
import { createServer, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { FastifyServerFactory } from 'fastify';
import type { GatewayConfig } from '../config.ts';

/** A request that has not arrived by then is a slow-loris, or a lost client. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than load balancers keep a connection, so that they are the ones to end it. */
const KEEP_ALIVE_MS = 72_000;

export function schemeOf(config: GatewayConfig): 'http' | 'https' {
  return config.ENGRAM_HTTP_TLS_CERT_FILE === undefined ? 'http' : 'https';
}

/** @throws Error that names the file of the certificate or of its key that cannot be used */
export async function listenerFor(config: GatewayConfig): Promise<FastifyServerFactory> {
  const certFile = config.ENGRAM_HTTP_TLS_CERT_FILE;
  const keyFile = config.ENGRAM_HTTP_TLS_KEY_FILE;
  const limits: ServerOptions = {
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
  if (certFile === undefined || keyFile === undefined)
    return (handler) => createServer(limits, handler);
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  return (handler) => createTlsServer({ ...limits, cert, key }, handler);
}
