import { ClusterError } from '@engram/model';

/**
 * Where checkpoints and segments lie, so that they outlive the machine that wrote them. Names have the
 * alphabet of NATS tokens and dots, and none is ever used for two contents.
 */
export interface BlobStore extends AsyncDisposable {
  /** Copies a local file. It is there as a whole, or `save` throws. */
  save(name: string, path: string): Promise<void>;
  /**
   * Copies to a local file, which the caller checks: what is stored may be damaged.
   * @returns false when it is not there
   */
  fetch(name: string, path: string): Promise<boolean>;
  /** What is not there is no error. */
  remove(name: string): Promise<void>;
  /** Whether something is there under the name; whether that is whole tells who fetches it. */
  has(name: string): Promise<boolean>;
  /** Of all that takes room, also what is there in part only. */
  names(): Promise<string[]>;
}

/** What stands in a store under another name is none of ours, and may be made to lead out of a folder. */
export function isBlobName(name: string): boolean {
  return /^\w[\w.-]*$/.test(name);
}

/** What a fetched blob turns out to be when its bytes are not those that were stored. */
export function damagedBlob(name: string, reason: string): ClusterError {
  return new ClusterError('CHECKPOINT_DAMAGED', `the blob ${name} is damaged: ${reason}`, {
    details: { blob: name },
  });
}

/** Whether the bytes themselves are wrong: a full disk or a silent server says nothing about them. */
export function isDamage(error: unknown): boolean {
  const { code } = ClusterError.from(error);
  return code === 'CHECKPOINT_DAMAGED' || code === 'SEGMENT_DAMAGED';
}
