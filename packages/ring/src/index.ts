export { assign } from './assignment.ts';
export type { Assignment } from './assignment.ts';
export { Placement } from './placement.ts';
export type { Placed } from './placement.ts';
export { planMoves } from './plan.ts';
export type { PlannedMove, RingPlan } from './plan.ts';
