// Who is let in by a gateway, and where it listens: what settings say of it, and what must hold.

import { ApiKeys, wantsCredentials } from '@engram/access';
import { z } from 'zod';
import { tokenProblems, tokenShape } from './token-settings.ts';

export const accessSettings = {
  ENGRAM_AUTH: z.enum(['on', 'off']).optional(),
  ENGRAM_API_KEYS: z.string().refine(isKeyList, { error: keyListFault }).optional(),
  ENGRAM_API_KEYS_FILE: z.string().min(1).optional(),
  ...tokenShape,
};

export type AccessSettings = z.output<z.ZodObject<typeof accessSettings>> & {
  readonly ENGRAM_HTTP_HOST: string;
  readonly ENGRAM_ADMIN_HOST: string;
  readonly ENGRAM_ADMIN_PORT?: number | undefined;
};

/** Whether callers must say who they are. */
export function isAuthOn(settings: AccessSettings): boolean {
  return wantsCredentials(settings) === true;
}

/** What is wrong with the settings of a gateway: nobody is let in unseen from outside by mistake. */
export function accessProblems(settings: AccessSettings): string[] {
  const { ENGRAM_AUTH: auth } = settings;
  const problems = tokenProblems(settings);
  if (auth === 'off' || problems.length > 0 || isAuthOn(settings)) return problems;
  const way =
    'give ENGRAM_API_KEYS_FILE (engram keys create makes it), ENGRAM_API_KEYS or ENGRAM_JWT_…';
  if (auth === 'on') return [`ENGRAM_AUTH: there is nobody to let in; ${way}`];
  const names = ['ENGRAM_HTTP_HOST', 'ENGRAM_ADMIN_HOST'] as const;
  const seen = names
    .filter((name) => name === 'ENGRAM_HTTP_HOST' || settings.ENGRAM_ADMIN_PORT !== undefined)
    .find((name) => !isLoopback(settings[name]));
  if (seen === undefined) return [];
  return [
    `${seen}: others reach ${settings[seen]}, and nothing says who may; ${way}, or set ENGRAM_AUTH=off where only friends reach it`,
  ];
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function keyFaultOf(text: string): string | undefined {
  try {
    ApiKeys.parse(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function isKeyList(text: string): boolean {
  return keyFaultOf(text) === undefined;
}

function keyListFault({ input }: { readonly input?: unknown }): string {
  return keyFaultOf(String(input)) ?? '';
}
