import { createHash } from 'node:crypto';
import type { MemberId } from '@engram/model';
import HashRing from 'hashring';

/**
 * Digests of a member, of four points each. Given for each member: without it hashring gives members
 * 39 or 40 digests by how many there are (1/7 · 40 · 7 is less than 40), and everybody's points move.
 */
const DIGESTS = 64;
const POINTS = 2 ** 32;
/** Keeps ids apart from what every object has, such as `constructor`, which hashring looks up. */
const PREFIX = 'shard/';

/** Members on a circle of hash values, in the order in which a key meets them. */
export class Ring {
  readonly #ring: HashRing;
  readonly #size: number;
  readonly #points: Readonly<Record<string, readonly number[]>>;

  constructor(members: readonly MemberId[]) {
    const names = members.map((member) => PREFIX + member);
    this.#ring = new HashRing(
      Object.fromEntries(names.map((name) => [name, { vnodes: DIGESTS }])),
      'md5',
    );
    this.#size = names.length;
    // Its types say otherwise: an object with the points of each.
    this.#points = this.#ring.points(names) as unknown as Record<string, readonly number[]>;
  }

  /** Every member once, nearest first, and how far the key is from the first one. */
  place(key: string): { readonly candidates: readonly MemberId[]; readonly distance: number } {
    const names = this.#ring.range(key, this.#size);
    const at = createHash('md5').update(key).digest().readUInt32LE(0);
    const distances = this.#points[names[0]!]!.map((point) => (point - at + POINTS) % POINTS);
    return {
      candidates: names.map((name) => name.slice(PREFIX.length) as MemberId),
      distance: Math.min(...distances),
    };
  }
}
