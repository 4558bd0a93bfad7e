/// Measurements in a real browser. `bench/pages` runs them.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['tests/bench/**/*.test.ts'], testTimeout: 300_000, hookTimeout: 120_000, disableConsoleIntercept: true },
});
