/**
 * A delivered entry's place, from its acknowledgement subject
 * `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<delivered>.<sequence>.<delivery>.<nanoseconds>.<pending>[.<random>]`
 * (NATS ADR-15).
 */
export function parseAckSubject(
  subject: string,
): { sequence: number; delivery: number; storedAtMs: number; pending: number } | undefined {
  if (!subject.startsWith('$JS.ACK.')) return undefined;
  const tokens = subject.split('.');
  const first = tokens.length === 9 ? 2 : 4;
  return {
    sequence: Number(tokens[first + 3]),
    delivery: Number(tokens[first + 4]),
    storedAtMs: Number(tokens[first + 5]?.slice(0, -6)),
    pending: Number(tokens[first + 6]),
  };
}
