/// The widget: one classic script, so that a site can load it from elsewhere without CORS.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [svelte()],
  publicDir: false,
  build: {
    target: 'es2022',
    emptyOutDir: false,
    lib: { entry: 'src/widget/main.ts', formats: ['iife'], name: 'banterWidget', fileName: () => 'widget.js' },
  },
});
