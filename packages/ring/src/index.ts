export { assign } from './assignment.ts';
export type { Assignment } from './assignment.ts';
export type { View } from './view.ts';
