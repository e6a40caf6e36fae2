import { expect, test } from 'vitest';
import { statusCommand } from '../src/commands/status.ts';
import { fakeCluster } from './fake-cluster.ts';
import { runCommand } from './run-command.ts';

test.each([401, 403] as const)(
  'a gateway that answers %i is not unreachable: status says that it wants a key',
  async (denied) => {
    await using cluster = await fakeCluster({ denied });
    const told = await runCommand(statusCommand(), ['--url', cluster.url]);
    expect(told.code).toBe(4);
    expect(told.out).toContain(`denied   ${cluster.url}`);
    expect(told.err).toContain('the gateway is there and wants a key with *:admin: ');
    const json = await runCommand(statusCommand(), ['--url', cluster.url, '--json']);
    expect(json.code).toBe(4);
    expect(JSON.parse(json.out)).toMatchObject({ verdict: 'denied', urls: [cluster.url] });
  },
);
