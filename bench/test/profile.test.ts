import { expect, test } from 'vitest';
import { flameGraph } from '../src/profile/flame-graph.ts';
import { hotspotsOf, nameOf } from '../src/profile/hotspots.ts';
import { stacksOf, type Frame } from '../src/profile/perf.ts';

/** As `perf script -F pid,tid,ip,sym,dso` prints it. */
const TEXT = `    42/43
\t           23104 [unknown] (/x/usearch/prebuilds/linux-x64/usearch.node)
\t           24000 unum::usearch::index_gt<float, unsigned long>::add<int> (/x/usearch/prebuilds/linux-x64/usearch.node)

    42/43
\t          1b9976 [unknown] (/x/usearch/prebuilds/linux-x64/usearch.node)
\t           24000 CompiledIndex::Add (/x/usearch/prebuilds/linux-x64/usearch.node)

    42/42
\t         14cfc4d Builtins_LoadIC (/usr/bin/node)
\t    7fc9da11dca0 JS:^encodeBatch file:///work/main/packages/codec/dist/batch.js:276:27 (/tmp/perf-42.map)
\t         14c05fb uv__io_poll (/usr/bin/node)

    7/9
\t           4711 [unknown] (/usr/sbin/nats-server)

`;
const roleOf = (pid: number): string => (pid === 7 ? 'nats' : 'shard');

test('what perf prints is read as stacks, innermost frame first', () => {
  const stacks = stacksOf(TEXT);
  expect(stacks.map(({ pid, frames }) => [pid, frames.length])).toEqual([
    [42, 2],
    [42, 2],
    [42, 3],
    [7, 1],
  ]);
  expect(stacks[2]!.frames[1]).toEqual({
    symbol: 'JS:^encodeBatch file:///work/main/packages/codec/dist/batch.js:276:27',
    binary: '/tmp/perf-42.map',
    address: 0x7fc9da11dca0,
  });
  expect(stacksOf('')).toEqual([]);
});

test('kernels without a name are told from the graph code beside them, and a builtin is its caller’s', () => {
  const { shares, hotspots } = hotspotsOf(stacksOf(TEXT), roleOf);
  expect(shares.get('graph: candidates and links')).toBe(0.25);
  expect(shares.get('distance computation')).toBe(0.25);
  expect(shares.get('observations: check, quantise, encode, apply')).toBe(0.25);
  expect(shares.get('NATS server')).toBe(0.25);
  expect(hotspots.map(({ share }) => share)).toEqual([0.25, 0.25, 0.25, 0.25]);
});

test('names have neither folders nor template arguments', () => {
  const frame = (symbol: string): Frame => ({ symbol, binary: '/usr/bin/node', address: 1 });
  expect(nameOf(frame('a::b<c<d>, e>::f<g>'))).toBe('a::b::f');
  expect(nameOf(frame('JS:*put file:///r/packages/log/dist/a.js:3:4'))).toBe('put log/dist/a.js:3');
  expect(nameOf(frame('JS:~ /r/node_modules/.pnpm/nats@2/node_modules/nats/lib/p.js:5:2'))).toBe(
    '(anonymous) nats/lib/p.js:5',
  );
});

test('a flame graph shows each caller as wide as what it called', () => {
  const svg = flameGraph(stacksOf(TEXT), roleOf);
  expect(svg).toMatch(/^<svg[^>]* xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  expect(svg).toContain('shard (75.0 %)');
  expect(svg).toContain('CompiledIndex::Add (25.0 %)');
});
