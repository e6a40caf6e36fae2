export { SpaceEngine } from './space-engine.ts';
export type {
  ApplyResult,
  Hit,
  RecallQuery,
  SpaceStats,
  StoredObservation,
} from './space-engine.ts';
