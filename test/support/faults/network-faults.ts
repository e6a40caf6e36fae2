import type { FaultKind } from './fault.ts';
import { pickMember } from './process-faults.ts';
import type { TcpProxy } from './tcp-proxy.ts';

const LASTS_MS = [1_000, 8_000] as const;

/** Between one member and one server, the rest of the cluster being well. */
function between(server: 'nats' | 'redis', disturb: (proxy: TcpProxy) => void): FaultKind {
  return {
    lastsMs: LASTS_MS,
    inject: (context) => {
      const { running } = context;
      const member = pickMember(context, ({ cluster }) => [...cluster.shards, ...cluster.gateways]);
      if (member === undefined) return Promise.resolve(undefined);
      const proxy = running.proxies(member.id)[server];
      disturb(proxy);
      const heal = (): Promise<void> => Promise.resolve(proxy.heal());
      return Promise.resolve({ target: member.id, heal });
    },
  };
}

export const NETWORK_FAULTS = {
  'nats-delay': between('nats', (proxy) => proxy.delay(150)),
  'nats-cut': between('nats', (proxy) => proxy.cut()),
  'nats-refuse': between('nats', (proxy) => proxy.refuse()),
  'nats-half-open': between('nats', (proxy) => proxy.halfOpen()),
  'nats-hold': between('nats', (proxy) => proxy.hold(['up', 'down'])),
  // The member still sends, and hears nothing; then the other way round.
  'nats-deaf': between('nats', (proxy) => proxy.hold(['down'])),
  'nats-mute': between('nats', (proxy) => proxy.hold(['up'])),
  'redis-delay': between('redis', (proxy) => proxy.delay(400)),
  'redis-refuse': between('redis', (proxy) => proxy.refuse()),
  'redis-half-open': between('redis', (proxy) => proxy.halfOpen()),
  'redis-hold': between('redis', (proxy) => proxy.hold(['up', 'down'])),
  'redis-deaf': between('redis', (proxy) => proxy.hold(['down'])),
} as const satisfies Record<string, FaultKind>;
