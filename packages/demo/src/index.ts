export { readWords, WORD_DIMENSION } from './words.ts';
export type { ReadWordsOptions, Word } from './words.ts';
