import type { Engine } from '@engram/model';
import type { GraphEngine } from './graph.ts';
import { HNSWLIB } from './hnswlib-graph.ts';
import { USEARCH } from './usearch-graph.ts';

/** The engine that a space's `engine` names. Its native part is loaded at its first use. */
export const GRAPH_ENGINES: Readonly<Record<Engine, GraphEngine>> = {
  usearch: USEARCH,
  hnswlib: HNSWLIB,
};
