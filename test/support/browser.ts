// A real browser, and whether a page can be used by everybody.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { chromium, type Browser, type Page } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome'];

/** Undefined where there is none: npm test brings one where it may. */
export function findChromium(): string | undefined {
  for (const program of PROGRAMS)
    try {
      return execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
    } catch {
      continue; // not that one
    }
  return undefined;
}

export function launchBrowser(executablePath: string): Promise<Browser> {
  // Tests may run as root, for whom Chromium has no sandbox.
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
}

export interface View {
  readonly width: number;
  readonly height: number;
  readonly colorScheme: 'light' | 'dark';
}

export interface Watched extends AsyncDisposable {
  readonly page: Page;
  /** Errors of the page, and requests to anybody but where it came from. */
  readonly faults: readonly string[];
}

export async function openPage(browser: Browser, url: string, view: View): Promise<Watched> {
  const { width, height, colorScheme } = view;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    // What the network says of an answer like 401 or of a gateway that is away is shown on the page.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      faults.push(message.text());
  });
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== 'data:' && origin !== new URL(url).origin) faults.push(request.url());
  });
  await page.goto(url);
  return { page, faults, [Symbol.asyncDispose]: () => context.close() };
}

/** What axe finds wrong with what the page shows now, a line each. */
export async function axeFaults(page: Page): Promise<string[]> {
  // Not as a script of the page: its policy lets none in.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate<AxeResults>('axe.run()');
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html }) => `${id}: ${help}: ${html}`),
  );
}

/** Pixels by which the page is wider than the window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
}
