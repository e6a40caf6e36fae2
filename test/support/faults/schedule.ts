import { between, pickOne, seededRandom, type Random } from '../random.ts';
import { DATA_FAULTS } from './data-faults.ts';
import type { FaultKind } from './fault.ts';
import { NETWORK_FAULTS } from './network-faults.ts';
import { PROCESS_FAULTS } from './process-faults.ts';

const FAULTS = { ...PROCESS_FAULTS, ...NETWORK_FAULTS, ...DATA_FAULTS } as const;

export type FaultName = keyof typeof FAULTS;
export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[];

export function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(FAULTS, name);
}

export function faultKind(name: FaultName): FaultKind {
  return FAULTS[name];
}

export interface PlannedFault {
  readonly name: FaultName;
  /** After the phase's begin. */
  readonly startMs: number;
  readonly lastsMs: number;
  /** Decides about the target and whatever else is left to chance. */
  readonly seed: number;
}

/** Faults that are in effect together, before everything is healed and must become well. */
export interface Phase {
  readonly number: number;
  readonly faults: readonly PlannedFault[];
}

/** How many faults a phase has, one case as likely as the next. */
const TOGETHER = [1, 1, 1, 2, 2, 3];

/** Phases without end, the same for the same seed and names. */
export function* phasesOf(seed: number, names: readonly FaultName[]): Generator<Phase, never> {
  const random = seededRandom(seed);
  let deck: FaultName[] = [];
  for (let number = 1; ; number++) {
    const faults: PlannedFault[] = [];
    const count = pickOne(TOGETHER, random);
    while (faults.length < count) {
      // Each name comes up once before any comes twice.
      if (deck.length === 0) deck = shuffled(names, random);
      const name = deck.pop()!;
      const { isAlone, lastsMs } = faultKind(name);
      if (isAlone === true && faults.length > 0) {
        deck.unshift(name);
        break;
      }
      faults.push({
        name,
        startMs: faults.length === 0 ? 0 : between(0, 2_000, random),
        lastsMs: between(lastsMs[0], lastsMs[1] + 1, random),
        seed: between(0, 2 ** 31, random),
      });
      if (isAlone === true) break;
    }
    yield { number, faults };
  }
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  return Array.from(items, () => left.splice(between(0, left.length, random), 1)[0]!);
}
