/**
 * 64 bits of hash over the UTF-8 bytes of an id, in two halves of 32, without an allocation. It only
 * spreads ids over a table: equality is always decided by the bytes, so a forged collision costs
 * time and nothing else. Two multiplicative hashes, finished as in MurmurHash3 (Appleby, public domain).
 */
export class IdHash {
  high = 0;
  low = 0;

  of(text: Uint8Array, start: number, end: number): void {
    let high = 0x811c9dc5;
    let low = 0x9747b28c ^ (end - start);
    for (let i = start; i < end; i++) {
      const byte = text[i]!;
      high = Math.imul(high ^ byte, 0x01000193);
      low = Math.imul(low ^ byte, 0x85ebca6b) + 0x165667b1;
      low ^= low >>> 15;
    }
    this.high = finish(high ^ Math.imul(low, 0x9e3779b1));
    this.low = finish(low ^ Math.imul(high, 0xc2b2ae35));
  }
}

function finish(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
