/**
 * How long work may keep a thread. The engine knows no clock: whoever runs it decides when a slice is
 * over and what happens between two of them.
 */
export interface Pace {
  /** Whether the slice is over. */
  isDue(): boolean;
  /** Lets others have their turn; a new slice begins. */
  turn(): Promise<void>;
}

/** Ends every slice at once or never; for tests and tools that have a thread of their own. */
export const UNHURRIED: Pace = { isDue: () => false, turn: () => Promise.resolve() };
