import { expect, test } from 'vitest';
import { wgsl } from '../../tools/vite-plugin-wgsl.ts';

test('a shader imported as a module is its text, whatever characters it holds', () => {
  const { transform } = wgsl();
  if (typeof transform !== 'function') throw new Error('the plugin has no transform function');
  const text = '// `quotes` "double" \\ and ${braces}\nfn main() {}\n';
  const result = transform.call({} as never, text, '/shaders/a.wgsl');
  const code = (result as { code: string }).code;
  expect(JSON.parse(code.replace(/^export default /, '').replace(/;$/, ''))).toBe(text);
  expect(transform.call({} as never, text, '/src/a.ts')).toBeUndefined();
});
