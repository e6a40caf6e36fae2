import { hostname } from 'node:os';

/** Where others reach a server: a wildcard address is no place, so the host's name stands for it. */
export function advertisedUrl(
  host: string,
  port: number,
  scheme: 'http' | 'https' = 'http',
): string {
  const isWildcard = host === '0.0.0.0' || host === '::';
  const name = isWildcard ? hostname() : host;
  return `${scheme}://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
