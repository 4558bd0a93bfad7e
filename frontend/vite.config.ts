/// The chat at / and the console at /console. Links are relative, so that a proxy may put both below a path.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  base: './',
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // The policy of the pages allows no inline script.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rolldownOptions: { input: ['index.html', 'console.html'] },
  },
  test: { include: ['src/**/*.test.ts'] },
});
