import { existsSync, readFileSync } from 'node:fs';

/** One HTML document, and the Content-Security-Policy that it is served with. */
export interface ConsolePage {
  readonly html: string;
  readonly policy: string;
}

const PAGE = new URL('./page.json', import.meta.url);

/** Undefined where it was not bundled: `pnpm build` does it. */
export function consolePage(): ConsolePage | undefined {
  return existsSync(PAGE) ? (JSON.parse(readFileSync(PAGE, 'utf8')) as ConsolePage) : undefined;
}
