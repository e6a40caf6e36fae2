import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Intake } from '../src/intake.ts';
import type { AckMessage, Credit } from '../src/message.ts';
import { Outbox } from '../src/outbox.ts';

const WINDOW: Credit = { items: 10, bytes: 100 };

interface Sent {
  readonly seq: number;
  readonly items: number;
}
type FromServer = Pick<AckMessage, 'upTo' | 'credit'>;

/** The gateway's side of one connection. It may outlive the connection: what it took it still writes. */
class Gateway {
  readonly intake: Intake;
  readonly queue: Sent[] = [];
  readonly toClient: FromServer[] = [];
  readonly toServer: Sent[] = [];

  constructor(acked: number) {
    this.intake = new Intake(acked);
    this.intake.open(WINDOW);
  }

  receive(): void {
    const sent = this.toServer.shift();
    if (sent === undefined) return;
    const { kind } = this.intake.offer(sent.seq, sent.items, sent.items * 10);
    if (kind === 'taken') this.queue.push(sent);
    else expect(kind).toBe('duplicate');
  }

  /** The log stores a message id once, and gives its place to whoever sends it again. */
  write(log: number[]): void {
    const sent = this.queue.shift();
    if (sent === undefined) return;
    if (!log.includes(sent.seq)) log.push(sent.seq);
    this.intake.ack(sent.seq);
    this.intake.open(WINDOW);
    this.toClient.push({ upTo: sent.seq, credit: this.intake.granted });
  }
}

/** A client, the gateways that it ever had, and the log. */
class World {
  readonly log: number[] = [];
  readonly outbox = new Outbox<undefined>();
  readonly gateways: Gateway[] = [];
  isConnected = false;
  readonly answered: number[] = [];

  get current(): Gateway | undefined {
    return this.isConnected ? this.gateways.at(-1) : undefined;
  }

  put(items: number): void {
    this.outbox.add(items, items * 10, undefined);
  }

  connect(): void {
    const gateway = new Gateway(this.outbox.acked);
    this.gateways.push(gateway);
    this.isConnected = true;
    this.outbox.connected(gateway.intake.granted);
  }

  send(isTwice: boolean): void {
    const { current } = this;
    if (current === undefined) return;
    const next = this.outbox.take();
    if (next === undefined) return;
    for (let i = 0; i <= Number(isTwice); i++) current.toServer.push(next);
  }

  receive(isTwice: boolean): void {
    const [message] = this.current?.toClient ?? [];
    if (message === undefined) return;
    if (!isTwice) this.current?.toClient.shift();
    this.outbox.grant(message.credit);
    this.answered.push(...this.outbox.ack(message.upTo).map(({ seq }) => seq));
  }
}

type Step =
  | { readonly kind: 'put'; readonly items: number }
  | { readonly kind: 'connect' | 'lose' | 'arrive' }
  | { readonly kind: 'send' | 'receive'; readonly isTwice: boolean }
  | { readonly kind: 'write'; readonly gateway: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), items: fc.integer({ min: 1, max: 10 }) }),
  fc.record({ kind: fc.constantFrom('connect' as const, 'lose' as const, 'arrive' as const) }),
  fc.record({
    kind: fc.constantFrom('send' as const, 'receive' as const),
    isTwice: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('write' as const), gateway: fc.nat({ max: 5 }) }),
);

function run(world: World, taken: Step): void {
  switch (taken.kind) {
    case 'put':
      return world.put(taken.items);
    case 'connect':
      return world.connect();
    case 'lose':
      world.isConnected = false;
      return;
    case 'send':
      return world.send(taken.isTwice);
    case 'arrive':
      return world.current?.receive();
    case 'write':
      return world.gateways.at(-1 - taken.gateway)?.write(world.log);
    case 'receive':
      return world.receive(taken.isTwice);
  }
}

test('whatever is lost, repeated or late, each batch is in the log once, in order, and is answered', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const world = new World();
      for (const each of steps) {
        run(world, each);
        const { current, answered, log } = world;
        if (current !== undefined)
          expect(current.intake.granted.items).toBeGreaterThanOrEqual(WINDOW.items);
        // An answer is a promise: the log has it.
        expect(answered.every((seq) => log.includes(seq))).toBe(true);
      }
      const count = world.outbox.nextSeq - 1;
      world.connect();
      for (let i = 0; i < 10 * count && world.outbox.acked < count; i++) {
        world.send(false);
        world.current?.receive();
        world.current?.write(world.log);
        world.receive(false);
      }
      // Gateways that were cut off write at last what they had taken.
      for (const gateway of world.gateways)
        while (gateway.queue.length > 0) gateway.write(world.log);
      const all = Array.from({ length: count }, (_, i) => i + 1);
      expect(world.answered).toEqual(all);
      expect(world.log).toEqual(all);
    }),
    { numRuns: 500 },
  );
});
