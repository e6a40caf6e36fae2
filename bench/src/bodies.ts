import { encodeBatch } from '@engram/codec';
import { WORD_DIMENSION, type Word } from '@engram/demo';

/** Words as batch frames of so many each; what would be no whole batch is left out. */
export function bodiesOf(words: readonly Word[], size: number): Uint8Array[] {
  const bodies: Uint8Array[] = [];
  for (let start = 0; start + size <= words.length; start += size) {
    const items = words.slice(start, start + size).map(({ word, embedding }, index) => ({
      value: { id: word, embedding },
      pointer: `/${index}`,
    }));
    const { frames, errors } = encodeBatch(items, { dimension: WORD_DIMENSION, metric: 'cosine' });
    if (errors.length > 0 || frames.length !== 1) throw new Error('a batch is one frame');
    bodies.push(frames[0]!.bytes);
  }
  return bodies;
}
