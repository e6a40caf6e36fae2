import type { Engine } from '@engram/model';
import type { GraphFactory } from './graph.ts';
import { HnswlibGraph } from './hnswlib-graph.ts';

/** The graph that a space's `engine` names. */
export const GRAPH_ENGINES: Readonly<Record<Engine, GraphFactory>> = {
  hnswlib: (options, rowsExpected) => new HnswlibGraph(options, rowsExpected),
};
