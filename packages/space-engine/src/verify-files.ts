import { checksumOf, damaged, RowsFile } from './rows-file.ts';

/**
 * Opens a file of rows, of which every byte was read once.
 * @throws ClusterError SEGMENT_DAMAGED when it is not what it was, or another one
 */
export async function openVerified(
  path: string,
  { dimension, checksum }: { readonly dimension: number; readonly checksum: number },
  turn: () => Promise<void>,
): Promise<RowsFile> {
  const rows = RowsFile.open(path, dimension);
  try {
    if (rows.checksum !== checksum) throw damaged(path, new Error('it is another file'));
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
