export { decodeClientMessage, decodeServerMessage, encodeMessage } from './codec.ts';
export { Intake } from './intake.ts';
export type { Offer } from './intake.ts';
export type {
  AckMessage,
  BatchMessage,
  ClientMessage,
  Credit,
  Format,
  OpenedMessage,
  OpenMessage,
  PauseMessage,
  RecallControl,
  RecallMessage,
  Refused,
  ServerMessage,
  SlowMessage,
  WireProblem,
} from './message.ts';
export { Outbox } from './outbox.ts';
export type { Outgoing } from './outbox.ts';
export { closeCode, errorOfProblem, problemOf } from './problem.ts';
export { windowOf, windowShare } from './window.ts';
export type { WindowLimits } from './window.ts';
