import { checksumOf, damaged, RowsFile } from './rows-file.ts';

/**
 * Reads every byte of a file of rows once.
 * @throws ClusterError SEGMENT_DAMAGED when it is not what it was, or another one
 */
export async function verifyRows(
  path: string,
  { dimension, checksum }: { readonly dimension: number; readonly checksum: number },
  turn: () => Promise<void>,
): Promise<void> {
  const rows = RowsFile.open(path, dimension);
  try {
    if (rows.checksum !== checksum) throw damaged(path, new Error('it is another file'));
    await rows.verify(turn);
  } finally {
    rows.close();
  }
}

/** The same of a graph. @throws ClusterError SEGMENT_DAMAGED */
export async function verifyGraph(
  path: string,
  graph: { readonly bytes: number; readonly crc: number },
  turn: () => Promise<void>,
): Promise<void> {
  const { bytes, crc } = await checksumOf(path, turn);
  if (bytes !== graph.bytes || crc !== graph.crc)
    throw damaged(path, new Error('it has another checksum'));
}
