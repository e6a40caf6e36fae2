export { NatsWriter } from './nats-writer.ts';
export type { NatsPutOptions, NatsWriterOptions } from './nats-writer.ts';
