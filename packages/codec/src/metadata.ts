import { LIMITS } from '@engram/model';

/** JSON text of a metadata object, or why it was refused. */
export function encodeMetadata(
  value: unknown,
): { readonly text: string } | { readonly fault: string } {
  const fault = objectFault(value);
  if (fault !== undefined) return { fault };
  const text = JSON.stringify(value, jsonOnly) as string | undefined;
  // A date or bytes from MessagePack are objects here, but not as JSON.
  if (!text?.startsWith('{')) return { fault: 'it must be an object' };
  const bytes = Buffer.byteLength(text);
  if (bytes > LIMITS.metadataBytesMax)
    return { fault: `it has ${bytes} bytes as JSON, ${LIMITS.metadataBytesMax} are allowed` };
  return { text };
}

function objectFault(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return 'it must be an object';
  if (isDeeperThan(value, LIMITS.metadataDepthMax))
    return `it must not nest deeper than ${LIMITS.metadataDepthMax} levels`;
  return undefined;
}

/** MessagePack can carry what JSON cannot; those become text rather than a thrown TypeError. */
function jsonOnly(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return value;
}

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const child of Object.values(value)) if (isDeeperThan(child, levels - 1)) return true;
  return false;
}

/** Why metadata text from a direct publisher was refused; undefined when it is an object. */
export function metadataTextFault(text: string): string | undefined {
  if (Buffer.byteLength(text) > LIMITS.metadataBytesMax)
    return `it has more than ${LIMITS.metadataBytesMax} bytes`;
  try {
    const value: unknown = JSON.parse(text);
    return objectFault(value);
  } catch (error) {
    if (error instanceof SyntaxError) return 'it is not JSON';
    throw error;
  }
}
