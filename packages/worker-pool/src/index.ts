export { LaneQueues } from './lane-queues.ts';
export { serveThread } from './serve-thread.ts';
export type { ThreadAnswer } from './serve-thread.ts';
export { WorkerPool } from './worker-pool.ts';
export type { PoolOptions } from './worker-pool.ts';
export { WorkerThread } from './worker-thread.ts';
export type { ThreadOptions } from './worker-thread.ts';
