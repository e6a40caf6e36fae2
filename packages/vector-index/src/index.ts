export { encodingOf } from './encoding.ts';
export type { Encoding } from './encoding.ts';
export { GRAPH_ENGINES } from './engines.ts';
export type { GraphEngine, GraphIndex, GraphOptions } from './graph.ts';
export { quantizationScale } from './quantization.ts';
export { scan } from './scan.ts';
export { dot, norm, publicScore, rank, squaredDistance } from './score.ts';
export { TopK } from './top-k.ts';
