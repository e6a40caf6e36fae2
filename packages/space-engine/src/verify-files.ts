import { checksumOf, damaged, RowsFile } from './rows-file.ts';

interface RowsFacts {
  readonly dimension: number;
  /** The file's own mark. */
  readonly checksum: number;
}

/** Opens a file of rows by its header. @throws ClusterError SEGMENT_DAMAGED when it is another file */
export function openMarked(path: string, { dimension, checksum }: RowsFacts): RowsFile {
  const rows = RowsFile.open(path, dimension);
  if (rows.checksum === checksum) return rows;
  rows.close();
  throw damaged(path, new Error('it is another file'));
}

/**
 * Opens a file of rows, of which every byte was read once.
 * @throws ClusterError SEGMENT_DAMAGED when it is not what it was, or another one
 */
export async function openVerified(
  path: string,
  facts: RowsFacts,
  turn: () => Promise<void>,
): Promise<RowsFile> {
  const rows = openMarked(path, facts);
  try {
    await rows.verify(turn);
    return rows;
  } catch (error) {
    rows.close();
    throw error;
  }
}

/** Reads every byte of a graph once. @throws ClusterError SEGMENT_DAMAGED */
export async function verifyGraph(
  path: string,
  graph: { readonly bytes: number; readonly crc: number },
  turn: () => Promise<void>,
): Promise<void> {
  const { bytes, crc } = await checksumOf(path, turn);
  if (bytes !== graph.bytes || crc !== graph.crc)
    throw damaged(path, new Error('it has another checksum'));
}
