import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { firstLoadLimit } from './tools/first-load.mjs';
import { ort } from './tools/vite-plugin-ort.ts';
import { shaders } from './tools/shaders.mjs';

// base './': the built page can be served from any path, or opened from any static host.
export default defineConfig({
  base: './',
  plugins: [shaders(), svelte(), ort(), firstLoadLimit()],
  worker: { format: 'es', plugins: () => [shaders()] },
  build: {
    target: 'es2022',
    chunkSizeWarningLimit: 1500,
    // Whose plugin took how long is of no use to whoever starts the page.
    rolldownOptions: { checks: { pluginTimings: false } },
  },
});
