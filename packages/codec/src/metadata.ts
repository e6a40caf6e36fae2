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
  // A node has at least two bytes of JSON: the walk ends with the bytes that would be allowed.
  const budget = { nodes: LIMITS.metadataBytesMax };
  if (isDeeperThan(value, LIMITS.metadataDepthMax, budget))
    return `it must not nest deeper than ${LIMITS.metadataDepthMax} levels`;
  return budget.nodes < 0 ? `it has more than ${LIMITS.metadataBytesMax} bytes` : undefined;
}

/** MessagePack can carry what JSON cannot; those become text rather than a thrown TypeError. */
function jsonOnly(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return value;
}

function isDeeperThan(value: unknown, levels: number, budget: { nodes: number }): boolean {
  if (--budget.nodes < 0 || typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const child of Object.values(value)) {
    if (isDeeperThan(child, levels - 1, budget)) return true;
    if (budget.nodes < 0) return false;
  }
  return false;
}

/** Why metadata text from a direct publisher was refused; undefined when it is an object. */
export function metadataTextFault(text: string): string | undefined {
  if (Buffer.byteLength(text) > LIMITS.metadataBytesMax)
    return `it has more than ${LIMITS.metadataBytesMax} bytes`;
  try {
    return objectFault(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) return 'it is not JSON';
    throw error;
  }
}
