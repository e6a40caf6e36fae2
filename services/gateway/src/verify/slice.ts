import { fnv1a32 } from '@engram/model';

/** Part of all ids: those whose hash has this residue. */
export interface Slice {
  readonly modulus: number;
  readonly residue: number;
}

export const EVERYTHING: Slice = { modulus: 1, residue: 0 };

export function isIn({ modulus, residue }: Slice, id: string): boolean {
  return modulus === 1 || fnv1a32(id) % modulus === residue;
}

/** Two slices that together are the one. */
export function halves({ modulus, residue }: Slice): readonly [Slice, Slice] {
  return [
    { modulus: modulus * 2, residue },
    { modulus: modulus * 2, residue: residue + modulus },
  ];
}
