import { defineConfig } from 'vitest/config';

// Unit tests read the sources of their own package and the built form of the others, because a
// worker thread can only be started from built files; `pnpm build` therefore comes first. Colours are
// off, because picocolors turns them on where CI is set.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'packages/*/test/**/*.test.ts',
            'services/*/test/**/*.test.ts',
            'bench/test/**/*.test.ts',
            'test/tidy/**/*.test.ts',
            'test/soak/**/*.test.ts',
            'test/support/**/*.test.ts',
          ],
          testTimeout: 60_000,
          env: { NO_COLOR: '1' },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Each has servers of its own, and waits for them most of the time.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'docker',
          include: ['test/docker/**/*.test.ts'],
          globalSetup: ['test/docker/engine.mjs'],
          testTimeout: 600_000,
          hookTimeout: 900_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: 'cluster',
          include: [
            'test/cluster/**/*.test.ts',
            'test/chaos/**/*.test.ts',
            'test/e2e/**/*.test.ts',
          ],
          testTimeout: 300_000,
          env: { NO_COLOR: '1' },
          hookTimeout: 180_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
