/** One gateway, or several. @throws TypeError that says what to give */
export function gatewayUrls(given: unknown): readonly string[] {
  const urls: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (given === undefined || urls.length === 0)
    throw new TypeError(
      "the client needs the url of a gateway, as { url: 'http://127.0.0.1:7700' }",
    );
  return urls.map((url) => checkedUrl(url, ['http:', 'https:'], 'http://127.0.0.1:7700'));
}

/** @throws TypeError that says what to give; a password in the url does not stand in it */
export function checkedUrl(given: unknown, schemes: readonly string[], example: string): string {
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : undefined;
  if (typeof given === 'string' && url?.host && schemes.includes(url.protocol)) return given;
  const shown = typeof given === 'string' && !given.includes('@') ? `, not ${quoted(given)}` : '';
  const begin = schemes.map((scheme) => `${scheme}//`).join(' or ');
  throw new TypeError(`a url must be a text that begins with ${begin}, as ${example}${shown}`);
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
