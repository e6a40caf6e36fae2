// The socket side of the gateway: TLS, and what one client may hold of it.

import { readFile } from 'node:fs/promises';
import { createServer, type ServerOptions } from 'node:http';
import type { Server } from 'node:net';
import { createServer as createTlsServer } from 'node:https';
import type { FastifyServerFactory } from 'fastify';
import type { GatewayConfig } from '../config.ts';

/** A token of some thousand bytes, and what proxies add. */
const HEADER_BYTES_MAX = 16 * 1024;
/** How often the two timeouts are looked at; the library's own is half a minute. */
const CHECK_MS = 1_000;
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
    maxHeaderSize: HEADER_BYTES_MAX,
    // Who sends too slowly holds a connection for nothing: a slow-loris, or a lost client.
    headersTimeout: config.ENGRAM_HEADERS_TIMEOUT_MS,
    requestTimeout: config.ENGRAM_REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
  const bounded = <T extends Server>(server: T): T => {
    server.maxConnections = config.ENGRAM_CONNECTIONS_MAX;
    return server;
  };
  if (certFile === undefined || keyFile === undefined)
    return (handler) => bounded(createServer(limits, handler));
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  return (handler) => bounded(createTlsServer({ ...limits, cert, key }, handler));
}
