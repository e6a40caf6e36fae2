import { parseSpaceOptions } from '@engram/model';
import { encodingOf, GRAPH_ENGINES } from '@engram/vector-index';

const DIMENSION = 256;
const ROWS = 128;
const ROUNDS = 16;

/**
 * Loads and compiles what the first graph of a thread needs, before it has any work: in the middle of
 * that it would hold entries and recalls for some 50 ms.
 */
export function warmUp(): void {
  const options = parseSpaceOptions({ dimension: DIMENSION });
  const rows = Float32Array.from({ length: ROWS * DIMENSION }, (_, i) => Math.sin(i * 1.7));
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const encoding = encodingOf(rows, ROWS, options);
      const graph = GRAPH_ENGINES[options.engine].create(options, encoding, ROWS);
      for (let row = 0; row < 16; row++) graph.add(row, rows, 1);
      graph.search(rows.subarray(0, DIMENSION), 8);
      graph.close();
    }
  } catch {
    // Without the engine's binary the first space that wants a graph says so.
  }
}
