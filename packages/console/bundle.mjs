// The console as one page without requests for anything but what a gateway tells: dist/page.json has its
// HTML and the policy that lets exactly this script and this style run.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const require = createRequire(import.meta.url);

const bundle = await rolldown({
  input: here('dist/page/main.js'),
  platform: 'browser',
  treeshake: true,
  onLog: (level, log) => {
    if (level !== 'debug') throw new Error(log.message);
  },
});
const { output } = await bundle.generate({ format: 'iife', minify: true });
if (output.length !== 1) throw new Error('the console is more than one file');
// Nothing in it may end the element that it stands in.
const script = output[0].code.replaceAll('</', '<\\/').trim();
const style = [
  readFileSync(require.resolve('uplot/dist/uPlot.min.css'), 'utf8'),
  readFileSync(here('src/page/style.css'), 'utf8'),
]
  .join('\n')
  .trim();
const hashOf = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
const policy = [
  "default-src 'none'",
  `script-src ${hashOf(script)}`,
  `style-src ${hashOf(style)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Engram Cluster</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='6' fill='none' stroke='%232f6fdb' stroke-width='3' stroke-dasharray='5 1.3'/%3E%3C/svg%3E">
<style>${style}</style>
</head>
<body>
<div id="console"></div>
<noscript>The console needs JavaScript. engram status and engram top tell the same.</noscript>
<script>${script}</script>
</body>
</html>
`;
writeFileSync(here('dist/page.json'), JSON.stringify({ html, policy }));
