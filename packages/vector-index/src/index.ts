export { GRAPH_ENGINES } from './engines.ts';
export type { GraphFactory, GraphIndex } from './graph.ts';
export { dot, norm, publicScore, squaredDistance } from './score.ts';
export { TopK } from './top-k.ts';
