import type { Frame, Stack } from './perf.ts';

/** What the time of the processor goes to, as the reference's table of hotspots divides it. */
export const CATEGORIES = [
  'distance computation',
  'graph: candidates and links',
  'observations: check, quantise, encode, apply',
  'queues, threads and messages',
  'memory: allocation, copies, garbage',
  'NATS server',
  'NATS client',
  'HTTP and sockets',
  'V8: compiling',
  'kernel, besides',
  'other',
] as const;
export type Category = (typeof CATEGORIES)[number];

export interface Hotspot {
  readonly name: string;
  readonly category: Category;
  readonly share: number;
}

/** So far from its named functions the code of usearch itself may be; the kernels are a megabyte away. */
const NEAR = 0x40000;
/** Callers that are asked what a frame is for which there is no rule, as one of V8's builtins. */
const CALLERS_MAX = 16;

/** Of the innermost frame that one of them fits; of a frame, the first. */
const RULES: readonly (readonly [Category, RegExp])[] = [
  ['distance computation', /invoke_numkong|simsimd_|\bnk_/],
  ['graph: candidates and links', /usearch::|CompiledIndex|hnswlib/],
  [
    'memory: allocation, copies, garbage',
    /malloc|_int_free|\bfree\b|calloc|mem(move|cpy|set)|page_fault|clear_page|memcg|Scaveng|Mark(ing|Compact)|Sweeper|Evacuat|MemoryChunk|Heap::|ConcurrentMarking|IncrementalMarking|NewSpace|copy_(to|from)_(iter|user)|_copy_to_iter|rep_movs/,
  ],
  [
    'V8: compiling',
    /v8::internal::(compiler|maglev|baseline|interpreter::Bytecode)|Parser|Scanner|turboshaft|OptimizedCompilation|SourcePosition/,
  ],
  [
    'queues, threads and messages',
    /packages\/(worker-pool|engine)\/|MessagePort|uv_async|pthread_|futex|Atomics|sem_(wait|post)|messaging/,
  ],
  ['NATS client', /node_modules\/nats\/|packages\/log\//],
  [
    'observations: check, quantise, encode, apply',
    /packages\/(codec|vector-index|space-engine|storage|model|partition|client)\/|services\/(gateway|shard)\//,
  ],
  [
    'HTTP and sockets',
    /node:(_http|net|internal\/streams|internal\/js_stream|http)|fastify|llhttp|uv__(read|write|stream)|StreamBase|tcp_|sock_|inet_|skb|node::http_parser/,
  ],
];

/** Addresses of a library whose own functions have symbols while those it is linked with have none. */
interface Span {
  low: number;
  high: number;
}

export function hotspotsOf(
  stacks: readonly Stack[],
  roleOf: (pid: number) => string,
): { readonly hotspots: readonly Hotspot[]; readonly shares: ReadonlyMap<Category, number> } {
  const graphCode = graphSpan(stacks);
  const counts = new Map<string, { readonly category: Category; count: number }>();
  const shares = new Map<Category, number>(CATEGORIES.map((category) => [category, 0]));
  for (const { pid, frames } of stacks) {
    const role = roleOf(pid);
    const category = categoryOf(frames, role, graphCode);
    shares.set(category, shares.get(category)! + 1 / stacks.length);
    const name = `${role}: ${nameOf(frames[0]!, category)}`;
    const known = counts.get(name);
    if (known === undefined) counts.set(name, { category, count: 1 });
    else known.count++;
  }
  const hotspots = [...counts]
    .map(([name, { category, count }]) => ({ name, category, share: count / stacks.length }))
    .sort((left, right) => right.share - left.share);
  return { hotspots, shares };
}

function categoryOf(frames: readonly Frame[], role: string, graphCode: Span | undefined): Category {
  if (role === 'nats') return 'NATS server';
  for (const frame of frames.slice(0, CALLERS_MAX)) {
    // usearch's package has its kernels behind its own code, without their names.
    if (isUnnamed(frame) && isUsearch(frame) && graphCode !== undefined)
      return frame.address >= graphCode.low - NEAR && frame.address <= graphCode.high + NEAR
        ? 'graph: candidates and links'
        : 'distance computation';
    const text = `${frame.symbol} ${frame.binary}`;
    const rule = RULES.find(([, pattern]) => pattern.test(text));
    if (rule !== undefined) return rule[0];
  }
  return frames[0]!.binary.startsWith('[kernel') ? 'kernel, besides' : 'other';
}

/** Where usearch's named functions are. */
function graphSpan(stacks: readonly Stack[]): Span | undefined {
  let span: Span | undefined;
  for (const { frames } of stacks)
    for (const frame of frames) {
      if (!isUsearch(frame) || isUnnamed(frame)) continue;
      span ??= { low: frame.address, high: frame.address };
      span.low = Math.min(span.low, frame.address);
      span.high = Math.max(span.high, frame.address);
    }
  return span;
}

const isUsearch = ({ binary }: Frame): boolean => binary.endsWith('/usearch.node');
const isUnnamed = ({ symbol }: Frame): boolean => symbol === '[unknown]';

/** Short enough for a table: no template arguments, no folders. */
export function nameOf(frame: Frame, category?: Category): string {
  const { symbol, binary } = frame;
  if (isUnnamed(frame)) {
    const file = binary.slice(binary.lastIndexOf('/') + 1);
    return category === undefined ? file : `${file} (${category})`;
  }
  const script = /^JS:[*^~+]?(\S*) (?:file:\/\/)?(\S+?):(\d+)(?::\d+)?$/.exec(symbol);
  if (script !== null) {
    const [, name, path, line] = script as unknown as [string, string, string, string];
    const short = path.replace(/^.*\/node_modules\//, '').replace(/^.*\/(packages|services)\//, '');
    return `${name === '' ? '(anonymous)' : name} ${short}:${line}`;
  }
  return withoutTemplates(symbol);
}

function withoutTemplates(symbol: string): string {
  let text = symbol;
  for (let before = ''; before !== text;) {
    before = text;
    text = text.replace(/<[^<>]*>/g, '');
  }
  return text;
}
