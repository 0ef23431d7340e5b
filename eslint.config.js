import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import js from '@eslint/js';
import svelte from 'eslint-plugin-svelte';
import { defineConfig } from 'eslint/config';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';
import { layersRule } from './tools/eslint-layers.js';

const root = dirname(fileURLToPath(import.meta.url));
const BROWSER_CODE = ['src/**/*.ts', 'src/**/*.svelte'];

export default defineConfig(
  { ignores: ['node_modules', 'dist', 'out', '.cache', 'tests/fixtures', 'public'] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  {
    plugins: { athanor: { rules: { layers: layersRule } } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    languageOptions: { globals: { ...globals.browser, ...globals.worker, ...globals.node } },
    rules: {
      // noUncheckedIndexedAccess makes `array[i]!` the honest way to say that an index was checked.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      eqeqeq: 'error',
      'prefer-const': 'error',
      'no-console': 'error',
      // Importers look for control characters on purpose.
      'no-control-regex': 'off',
      // TypeScript finds undefined names, the DOM's types included.
      'no-undef': 'off',
    },
  },
  {
    files: ['**/*.ts', '**/*.svelte'],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: root, extraFileExtensions: ['.svelte'] },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, svelteConfig } },
  },
  {
    files: BROWSER_CODE,
    rules: {
      'athanor/layers': ['error', { src: join(root, 'src') }],
      'no-restricted-imports': [
        'error',
        { patterns: [{ group: ['node:*', 'webgpu'], message: 'Only src/headless runs in Node.' }] },
      ],
      'no-restricted-globals': ['error', 'process', 'Buffer'],
      'no-eval': 'error',
      'no-implied-eval': 'error',
      'svelte/no-at-html-tags': 'error',
    },
  },
  {
    files: ['src/headless/**'],
    rules: { 'no-restricted-imports': 'off', 'no-restricted-globals': 'off' },
  },
  {
    files: ['tools/**', 'bench/**', 'tests/**'],
    rules: { 'no-console': 'off' },
  },
);
