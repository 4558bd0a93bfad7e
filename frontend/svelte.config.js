import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    // A region that scrolls must be reachable by keyboard (WCAG 2.1.1), which this warning would forbid.
    warningFilter: ({ code }) => code !== 'a11y_no_noninteractive_tabindex',
  },
};
