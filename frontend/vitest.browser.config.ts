/// Tests in a real browser, against the real server. `tools/browser_tests.sh` runs them.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/browser/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // The first failure tells more than those that it causes.
    bail: 1,
  },
});
