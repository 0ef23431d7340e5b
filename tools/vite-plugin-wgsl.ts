import type { Plugin } from 'vite';

/** Lets `import source from './kernel.wgsl'` give the shader's text, as esbuild's text loader does for the headless runner. */
export function wgsl(): Plugin {
  return {
    name: 'wgsl',
    enforce: 'pre',
    transform(code, id) {
      return id.endsWith('.wgsl') ? { code: `export default ${JSON.stringify(code)};`, map: null } : undefined;
    },
  };
}
