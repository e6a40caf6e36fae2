// The console in a real browser, on a real cluster that has something to do.

import { mintApiKey, parseGrants } from '@engram/access';
import { connect } from 'nats';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  axeFaults,
  findChromium,
  launchBrowser,
  openPage,
  overflow,
  type View,
} from '../support/browser.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/until.ts';
import { loadWords, WORD_DIMENSION } from '../support/words.ts';

const WIDE: View = { width: 1280, height: 900, colorScheme: 'light' };
const NARROW: View = { width: 390, height: 844, colorScheme: 'dark' };
const PAGES = ['', 'ring', 'spaces', 'recall', 'dead-letters'];

const chromium = findChromium();

describe.skipIf(chromium === undefined)('the console', () => {
  let browser: Browser;
  let running: TestCluster;
  let url: string;
  const load = new AbortController();
  let loading: Promise<void>;

  beforeAll(async () => {
    browser = await launchBrowser(chromium!);
    running = await startTestCluster({ shards: 2 });
    url = `${running.cluster.url}/console`;
    const { client } = running;
    const set = await loadWords(5_000, 1);
    const observations = set.words.map((id, i) => ({ id, embedding: set.embeddings[i]! }));
    for (const space of ['words', 'notes'])
      await client.createSpace(space, { dimension: WORD_DIMENSION });
    for (let from = 0; from < observations.length; from += 500)
      await client.put('words', observations.slice(from, from + 500), { ack: 'searchable' });
    loading = keepWriting(running, observations.slice(0, 50), load.signal);
  });

  afterAll(async () => {
    load.abort();
    await loading;
    await running[Symbol.asyncDispose]();
    await browser.close();
  });

  const open = (view: View = WIDE) => openPage(browser, url, view);

  test.each([WIDE, NARROW])(
    'can be used by everybody at $width pixels ($colorScheme), and asks nobody else for anything',
    async (view) => {
      await using watched = await open(view);
      const { page, faults } = watched;
      await page.getByText('applied a second').first().waitFor();
      for (const path of PAGES) {
        await go(page, path);
        await page.locator('main h2').first().waitFor({ state: 'attached' });
        expect(await axeFaults(page), path).toEqual([]);
        expect(await overflow(page), path).toBeLessThanOrEqual(0);
      }
      expect(faults).toEqual([]);
    },
  );

  test('shows what is applied, how long that takes, and each shard', async () => {
    await using watched = await open();
    const { page } = watched;
    await until('rates and latencies are there', async () => {
      const numbers = await page.locator('.numbers dd').allInnerTexts();
      return /^[1-9]/.test(numbers[0] ?? '') && /ms|s$/.test(numbers[1] ?? '');
    });
    const numbers = await page.locator('.numbers dd').allInnerTexts();
    expect(Number(numbers[2]?.replaceAll(',', ''))).toBeGreaterThanOrEqual(5_000);
    expect(await page.locator('.chart canvas').count()).toBe(3);
    expect(await page.locator('tbody tr').allInnerTexts()).toEqual([
      expect.stringContaining('shard-1'),
      expect.stringContaining('shard-2'),
    ]);
    await until('all is well', async () => (await troubles(page)).startsWith('All is well'));
  });

  test('is used by the keyboard alone', async () => {
    await using watched = await open();
    const { page } = watched;
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('main');
    await page.getByRole('link', { name: 'Ring' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: /^Ring of 64 partitions/ }).waitFor();
    await page.getByRole('spinbutton', { name: 'Partition' }).focus();
    await page.keyboard.type('3');
    await until('partition 3 is told', async () =>
      /of shard-\d; shard-\d answers for it/.test(await page.getByRole('status').innerText()),
    );
    const theme = page.getByRole('button', { name: 'Colours' });
    await theme.focus();
    await page.keyboard.press('Enter');
    await until('it is dark', () =>
      page.evaluate<boolean>('document.documentElement.dataset.theme === "dark"'),
    );
    expect(await axeFaults(page)).toEqual([]);
  });

  test('lists the spaces with their counts, and opens a recall of one', async () => {
    await using watched = await open();
    const { page } = watched;
    await go(page, 'spaces');
    const row = page.getByRole('row', { name: /^words/ });
    await until('its count is told', async () => (await row.innerText()).includes('5,000'));
    await page.getByRole('searchbox').fill('not');
    await until('the others are gone', async () => (await row.count()) === 0);
    await page.getByRole('link', { name: 'notes' }).click();
    expect(await page.getByRole('combobox', { name: 'Space' }).inputValue()).toBe('notes');
  });

  test('recalls by id and by vector, the graphs beside an exact search, and says what is wrong', async () => {
    await using watched = await open();
    const { page } = watched;
    await go(page, 'recall/words');
    const near = page.getByRole('textbox', { name: 'Near what' });
    const ask = page.getByRole('button', { name: 'Recall' });
    await near.fill('coffee');
    await ask.click();
    for (const name of ['Graphs', 'Exact'])
      await page
        .getByRole('region', { name: `${name}, results` })
        .getByRole('rowheader', { name: 'coffee' })
        .waitFor();
    expect(await page.getByRole('status').innerText()).toMatch(
      /^The graphs found \d+ of the 10 that are nearest\.$/,
    );
    expect(await axeFaults(page)).toEqual([]);
    await near.fill('[1, 2, 3]');
    await ask.click();
    await until('the dimension is wrong', async () =>
      (await page.getByRole('alert').innerText()).includes('the embedding is refused'),
    );
    await near.fill(JSON.stringify(Array.from({ length: WORD_DIMENSION }, (_, i) => i)));
    await ask.click();
    await page.getByRole('region', { name: 'Exact, results' }).waitFor();
    await near.fill('a-word-that-is-not-there');
    await ask.click();
    await until('there is no such id', async () =>
      (await page.getByRole('alert').innerText()).includes('no observation'),
    );
  });

  test('shows a dead letter, and sends it again once the cause is mended', async () => {
    await using watched = await open();
    const { page } = watched;
    const nats = await connect({ servers: running.cluster.nats.url });
    await nats
      .jetstream()
      .publish('observe.normal.later', JSON.stringify({ id: 'a', embedding: [1, 2] }));
    await nats.close();
    await go(page, 'dead-letters');
    await page.getByRole('button', { name: /^Redrive [\d-]+$/ }).waitFor();
    expect(await page.getByRole('row').nth(1).innerText()).toContain('SPACE_NOT_FOUND');
    expect(await axeFaults(page)).toEqual([]);
    await page.setViewportSize({ width: NARROW.width, height: NARROW.height });
    expect(await overflow(page)).toBeLessThanOrEqual(0);
    await running.client.createSpace('later', { dimension: 2 });
    await page.getByRole('button', { name: 'Redrive all of SPACE_NOT_FOUND' }).click();
    await page.getByText('1 letter sent again.').waitFor();
    await page.getByText('There are none').waitFor();
    await until('it is found', async () => (await running.client.space('later')).count === 1);
  });

  test('says in words what is wrong while a shard is gone, and shows what moves', async () => {
    await using watched = await open();
    const { page } = watched;
    const [shard] = running.cluster.shards;
    shard!.signal('SIGKILL');
    await shard!.exited;
    await until('the trouble is told', async () =>
      /Fails: (shards|partitions)/.test(await troubles(page)),
    );
    expect(await page.locator('.troubles p').first().innerText()).not.toBe('');
    await shard!.start();
    await until('all is well again', async () => (await troubles(page)).startsWith('All is well'));
    await go(page, 'ring');
    await page.getByText('Nothing moves.').waitFor();
    expect(await page.locator('svg path[class*="owner-none"]').count()).toBe(0);
  });

  test('asks for a key where the gateway does', async () => {
    const operator = mintApiKey('operator', parseGrants({ '*': ['admin'] }));
    await using guarded = await startTestCluster({
      shards: 1,
      apiKey: operator.key,
      env: { ENGRAM_API_KEYS: JSON.stringify([operator.record]) },
    });
    await using watched = await openPage(browser, `${guarded.cluster.url}/console`, WIDE);
    const { page, faults } = watched;
    await page.getByRole('heading', { name: 'A key is needed' }).waitFor();
    expect(await axeFaults(page)).toEqual([]);
    await page.getByLabel('Key', { exact: true }).fill(operator.key);
    await page.getByRole('button', { name: 'Use it' }).click();
    await page.getByText('shard-1').first().waitFor();
    expect(await page.getByRole('heading', { name: 'A key is needed' }).count()).toBe(0);
    expect(faults).toEqual([]);
  });
});

async function go(page: Page, path: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(`#/${path}`)}`);
}

async function troubles(page: Page): Promise<string> {
  const texts = await page.locator('.notice, .troubles').allInnerTexts();
  return texts.join('\n');
}

/** A little all the time, so that there are rates. */
async function keepWriting(
  { client }: TestCluster,
  observations: Parameters<TestCluster['client']['put']>[1],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted)
    try {
      await client.put('notes', observations, { ack: 'searchable', signal });
    } catch {
      continue; // a shard is gone meanwhile; the next one shows whether it is back
    }
}
