import { describe, expect, test } from 'vitest';
import { putCommand } from '../src/commands/put.ts';
import { recallCommand } from '../src/commands/recall.ts';
import { spacesCommand } from '../src/commands/spaces.ts';
import { fakeCluster } from './fake-cluster.ts';
import { runCommand } from './run-command.ts';

describe('spaces, put and recall', () => {
  test('lead from an empty cluster to a result and back', async () => {
    await using cluster = await fakeCluster();
    const at = ['--url', cluster.url];

    const none = await runCommand(spacesCommand(), ['list', ...at]);
    expect(none).toMatchObject({ out: '', code: 0 });
    expect(none.err).toContain('There are no spaces that you may see');

    const create = ['create', 'notes', '--dimension', '2', '--metric', 'cosine', ...at];
    expect((await runCommand(spacesCommand(), create)).out).toBe('✔ notes is made\n');
    expect((await runCommand(spacesCommand(), create)).out).toBe('✔ notes was there already\n');
    const other = await runCommand(spacesCommand(), ['create', 'notes', '--dimension', '3', ...at]);
    expect(other).toMatchObject({ code: 1, out: '' });
    expect(other.err).toContain('SPACE_DIFFERS');

    for (const [id, embedding] of Object.entries({ a: '[1, 0]', b: '[1, 0.1]', c: '[0, 1]' })) {
      const put = ['notes', '--id', id, '--embedding', embedding, '--metadata', '{"n":1}', ...at];
      const ran = await runCommand(putCommand(), [...put, '--ack', 'searchable']);
      expect(ran.out).toBe(`✔ ${id} is searchable at 1-0.1.0\n`);
    }

    const table = await runCommand(recallCommand(), ['notes', '--id', 'a', '-k', '2', ...at]);
    expect(table.out).toMatch(/1 │ b +│ +0\.9950 │ \{"n":1\}[^]*2 │ c/);
    expect(table.err).toBe('1.3 ms\n');
    const search = ['notes', '--embedding', '[1, 0]', '-k', '1', '--json', ...at];
    const found = JSON.parse((await runCommand(recallCommand(), search)).out) as object;
    expect(found).toMatchObject({ results: [{ id: 'a', score: 1 }], degraded: false });

    expect((await runCommand(spacesCommand(), ['list', ...at])).out).toContain('notes');
    const shown = await runCommand(spacesCommand(), ['show', 'notes', '--json', ...at]);
    expect(JSON.parse(shown.out)).toMatchObject({ space: 'notes', count: 3 });
    const deleted = await runCommand(spacesCommand(), ['delete', 'notes', '--yes', ...at]);
    expect(deleted).toMatchObject({ code: 0, out: '✔ notes is deleted\n' });
    expect(cluster.spaces.size).toBe(0);
  });

  test('a refused observation is one sentence with its reason', async () => {
    await using cluster = await fakeCluster();
    cluster.spaces.set('notes', { dimension: 2, rows: new Map(), writes: [] });
    const args = ['notes', '--id', 'a', '--embedding', '[1]', '--url', cluster.url];
    const ran = await runCommand(putCommand(), args);
    expect(ran).toMatchObject({ code: 1, out: '' });
    expect(ran.err).toContain('DIMENSION_MISMATCH at 0, wrong length (NOTHING_ACCEPTED)');
  });

  test('what cannot work is told before anybody is asked', async () => {
    expect(await runCommand(recallCommand(), ['notes'])).toMatchObject({ code: 2 });
    expect(await runCommand(putCommand(), ['notes', '--id', 'a'])).toMatchObject({ code: 2 });
    expect(await runCommand(putCommand(), ['notes', 'file'])).toMatchObject({ code: 2 });
  });
});
