import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { shaders } from './tools/shaders.mjs';

// The rings, from the inside out; tests/README.md says what belongs where. A ring is chosen by folder alone.
const FOLDERS_OF_THEIR_OWN = ['tests/gpu/**', 'tests/app/**', 'tests/interop/**'];

export default defineConfig({
  plugins: [shaders()],
  test: {
    tags: [{ name: 'fresh-random', description: 'draws fresh numbers: npm run test:seeds runs it under many seeds' }],
    projects: [
      {
        extends: true,
        // State classes are *.svelte.ts; without a browser runes become plain fields, and components render to HTML.
        plugins: [svelte()],
        test: {
          name: 'unit',
          include: ['tests/**/*.test.ts'],
          exclude: [...FOLDERS_OF_THEIR_OWN, 'node_modules/**'],
          testTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'gpu',
          include: ['tests/gpu/**/*.test.ts'],
          // One process for all files: a software adapter takes every core anyway, and one device serves all.
          pool: 'forks',
          maxWorkers: 1,
          isolate: false,
          // Workgroup memory is slow on processors: kernels meant for cards take their time on a software adapter.
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'app',
          include: ['tests/app/**/*.test.ts'],
          pool: 'forks',
          maxWorkers: 1,
          testTimeout: 600_000,
          hookTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'interop',
          include: ['tests/interop/**/*.test.ts'],
          pool: 'forks',
          maxWorkers: 1,
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
