// Service times with a given mean and coefficient of variation.

/** Numbers from 0 to below 1. */
export type Random = () => number;

/** With less it is as good as fixed, and shapes that grow with its inverse square soon are no numbers. */
const VARIATION_MIN = 1e-3;

/** Exponential: what comes from many who know nothing of each other is so far apart. */
export function exponential(mean: number, random: Random): number {
  return -Math.log(1 - random()) * mean;
}

/**
 * Gamma distributed: fixed at a variation of 0, exponential at 1, between and beyond as smooth. By rejection
 * (Marsaglia and Tsang 2000, "A simple method for generating gamma variables").
 */
export function serviceTime(mean: number, variation: number, random: Random): number {
  if (variation < VARIATION_MIN || mean === 0) return mean;
  if (variation === 1) return exponential(mean, random);
  const shape = 1 / variation ** 2;
  return (mean / shape) * gamma(shape, random);
}

function gamma(shape: number, random: Random): number {
  if (shape < 1) return gamma(shape + 1, random) * (1 - random()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random()) < x ** 2 / 2 + d * (1 - v + Math.log(v))) return d * v;
  }
}

/** Box and Muller 1958. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
