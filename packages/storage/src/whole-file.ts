import { open, rename, rm, type FileHandle } from 'node:fs/promises';

/** All of the bytes, or an error: a disk that is almost full takes some of them without a word. */
export async function writeFully(
  file: Pick<FileHandle, 'write'>,
  bytes: Uint8Array,
  at: number,
): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

/** One part behind the other: none is copied to be written with another. */
export async function writeParts(
  file: Pick<FileHandle, 'writeFile'>,
  parts: Iterable<Uint8Array>,
): Promise<void> {
  for (const part of parts) if (part.length > 0) await file.writeFile(part);
}

/** Writes a file that is complete under its name or not there. */
export async function writeWhole<T>(
  path: string,
  write: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const beside = `${path}.tmp`;
  try {
    const file = await open(beside, 'w');
    let written: T;
    try {
      written = await write(file);
    } finally {
      await file.close();
    }
    await rename(beside, path);
    return written;
  } catch (error) {
    await rm(beside, { force: true }); // on a full disk it would be in the way
    throw error;
  }
}
