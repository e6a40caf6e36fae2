// Starts a service as `dist/main.js` does, with faults that only its own process can have: servers
// behind a proxy of its own, and a wall clock that is set while it runs.
//
// CHAOS_SETTINGS: {"entries": {kind: URL}, "members": {id: {"natsPort", "redisPort", "clockFile"}}}

import { readFileSync, watchFile } from 'node:fs';

const { entries, members } = JSON.parse(process.env.CHAOS_SETTINGS);
const id = process.env.ENGRAM_MEMBER_ID;
const { natsPort, redisPort, clockFile } = members[id] ?? {};
if (natsPort !== undefined) process.env.ENGRAM_NATS_URL = `nats://127.0.0.1:${natsPort}`;
if (redisPort !== undefined) process.env.ENGRAM_REDIS_URL = `redis://127.0.0.1:${redisPort}`;
if (clockFile !== undefined) followClock(clockFile);
await import(id.startsWith('gateway') ? entries.gateway : entries.shard);

/** The file holds milliseconds that the clock is ahead. */
function followClock(file) {
  const RealDate = Date;
  let aheadMs = 0;
  const read = () => {
    try {
      aheadMs = Number(readFileSync(file, 'utf8')) || 0;
    } catch {
      aheadMs = 0; // nobody has set the clock
    }
  };
  read();
  watchFile(file, { interval: 100, persistent: false }, read);
  globalThis.Date = class extends RealDate {
    constructor(...args) {
      if (args.length === 0) super(RealDate.now() + aheadMs);
      else super(...args);
    }

    static now() {
      return RealDate.now() + aheadMs;
    }
  };
}
