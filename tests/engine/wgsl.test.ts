import { build } from 'esbuild';
import { readFileSync, readdirSync } from 'node:fs';
import { SHADERS } from 'virtual:shaders';
import { describe, expect, test } from 'vitest';
import { FIRST_BUFFER_BINDING, STEP_FIELDS, expandShader, packFields } from '../../src/engine/wgsl.ts';
import type { Defines } from '../../src/engine/wgsl.ts';
import { WEIGHT_FORMATS } from '../../src/engine/weight-formats.ts';
import { esbuildShaders } from '../../tools/shaders.mjs';

const expand = (source: string, defines: Defines = {}, library: Record<string, string> = {}): string =>
  expandShader(source, defines, library).code.trim();

const lines = (...text: string[]): string => text.join('\n');

describe('the template language of shaders', () => {
  test('if, elif and else choose one branch, by the first condition that holds', () => {
    const source = lines('#if A > 2', 'big', '#elif A == 2', 'two', '#elif B', 'b', '#else', 'small', '#endif');
    expect(expand(source, { A: 3, B: true })).toBe('big');
    expect(expand(source, { A: 2, B: true })).toBe('two');
    expect(expand(source, { A: 1, B: true })).toBe('b');
    expect(expand(source, { A: 1, B: false })).toBe('small');
    // What is not chosen is not evaluated either.
    expect(expand(lines('#if A', 'yes', '#elif MISSING', 'no', '#endif'), { A: 1 })).toBe('yes');
  });

  test('blocks nest, an if within a for and the other way round', () => {
    const source = lines(
      '#for i 0 3',
      '#if i % 2 == 0',
      '#for j i N',
      '$i, $(j * 10)',
      '#endfor',
      '#else',
      'odd $i',
      '#endif',
      '#endfor',
    );
    expect(expand(source, { N: 3 }).split('\n')).toEqual(['0, 0', '0, 10', '0, 20', 'odd 1', '2, 20']);
  });

  test('names and expressions are replaced, $(T$i) being the define T0 where i is 0', () => {
    const defines = { T0: 'f32', T1: 'vec4<f32>', N: 4, ON: true };
    expect(expand(lines('#for i 0 2', 'b$i: $(T$i);', '#endfor'), defines)).toBe('b0: f32;\nb1: vec4<f32>;');
    expect(expand('$N $(N * 2 + 1) $(-N) $(N / 3) $(7 % N) $ON $((N + 1) * 2)', defines)).toBe('4 9 -4 1 3 1 10');
  });

  test('operators have their usual precedence, words compare as they stand', () => {
    const truth: [string, boolean][] = [
      ['1 + 2 * 3 == 7', true],
      ['(1 + 2) * 3 == 9', true],
      ['1 < 2 && 2 < 1 || 1', true],
      ['1 || 0 && 0', true],
      ['!(1 == 1)', false],
      ['!FAMILY == cpu', false],
      ['FAMILY == cpu', true],
      ['FAMILY != gpu', true],
      ['10 - 3 - 4 == 3', true],
      ['7 / 2 == 3', true],
      ['2 <= 2 && 3 >= 4', false],
    ];
    for (const [expression, holds] of truth) {
      expect(expand(lines(`#if ${expression}`, 'yes', '#else', 'no', '#endif'), { FAMILY: 'cpu' }), expression).toBe(
        holds ? 'yes' : 'no',
      );
    }
  });

  test('includes are expanded with the same defines, wherever they are nested', () => {
    const library = { outer: lines('#include inner', 'outer $N'), inner: lines('#if N > 1', 'inner $N', '#endif') };
    expect(expand(lines('#include outer', 'own'), { N: 2 }, library)).toBe('inner 2\nouter 2\nown');
  });

  test('an include is chosen by a define, and may be given defines of its own', () => {
    const library = { read_f32: 'fn $(NAME)_at: $KIND', read_f16: 'no' };
    const source = lines('#include read_$KIND NAME=w', '#include read_$KIND NAME=table', '#if 0', '$NAME', '#endif');
    expect(expand(source, { KIND: 'f32' }, library)).toBe('fn w_at: f32\nfn table_at: f32');
    expect(() => expand(lines('#include read_f16 NAME=w', '$NAME'), {}, library)).toThrow('$NAME');
    expect(() => expand('#include read_f16 NAME', {}, library)).toThrow('cannot read the shader line');
  });

  test('buffers get binding numbers in order of appearance; those not taken get none', () => {
    const source = lines(
      '#buffer a: array<f32>, read',
      '#if MORE',
      '#buffer b: array<vec4<f32>, 4>, read_write',
      '#endif',
      '#buffer c: array<$V>, read_write',
    );
    const few = expandShader(source, { MORE: false, V: 'f32' });
    expect(few.buffers).toEqual([
      { name: 'a', type: 'array<f32>', access: 'read' },
      { name: 'c', type: 'array<f32>', access: 'read_write' },
    ]);
    expect(few.code).toContain(`@binding(${FIRST_BUFFER_BINDING + 1}) var<storage, read_write> c: array<f32>;`);
    const more = expandShader(source, { MORE: true, V: 'u32' });
    expect(more.buffers.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    expect(more.buffers[1]!.type).toBe('array<vec4<f32>, 4>');
    expect(more.code).toContain(`@binding(${FIRST_BUFFER_BINDING + 2}) var<storage, read_write> c: array<u32>;`);
  });

  test('parameters are a uniform, or constants where they are baked in', () => {
    const source = lines(
      'struct Params { count: u32, shift: i32, // a comment: u32',
      ' scale: f32 }',
      '#params',
      'p.count',
    );
    const uniform = expandShader(source, {});
    expect(uniform.usesParams).toBe(true);
    expect(uniform.params.map(({ name, type }) => `${name} ${type}`)).toEqual(['count u32', 'shift i32', 'scale f32']);
    expect(uniform.code).toContain('var<uniform> p: Params;');
    const baked = (scale: number): string => expandShader(source, {}, {}, { count: 7, shift: -2, scale }).code;
    expect(expandShader(source, {}, {}, { count: 7, shift: -2, scale: 1 }).usesParams).toBe(false);
    expect(baked(3)).toContain('const p = Params(7u, -2i, 3.0f);');
    expect(baked(0.25)).toContain('0.25f');
    expect(baked(1e-9)).toContain('1e-9f');
    expect(baked(1e21)).toContain('1e+21f');
  });

  test('the step struct is there where it is asked for, with its fields in order', () => {
    const shader = expandShader('#step\nstep.seed', {});
    expect(shader.usesStep).toBe(true);
    expect(expandShader('nothing', {}).usesStep).toBe(false);
    expect(STEP_FIELDS.map(({ name }) => name)).toEqual([
      'learning_rate',
      'bias_correction1',
      'bias_correction2',
      'loss_scale',
      'strength',
      'accumulate',
      'seed',
      'pad',
    ]);
    expect(STEP_FIELDS.filter(({ type }) => type === 'u32').map(({ name }) => name)).toEqual([
      'accumulate',
      'seed',
      'pad',
    ]);
  });

  test('fields are packed four bytes each, little-endian, by their type', () => {
    const view = new DataView(new ArrayBuffer(20));
    const fields = [
      { name: 'a', type: 'u32' },
      { name: 'b', type: 'f32' },
      { name: 'c', type: 'i32' },
    ] as const;
    packFields(fields, { a: 4294967295, b: 0.5, c: -3 }, view, 8);
    expect([view.getUint32(8, true), view.getFloat32(12, true), view.getInt32(16, true)]).toEqual([
      4294967295, 0.5, -3,
    ]);
    expect(() => packFields(fields, { a: 1, b: 2 }, view)).toThrow('c has no value');
  });

  test.each([
    ['#if A\nnever closed', 'never closed'],
    ['#for i 0 2\nnever closed', 'never closed'],
    ['#endif', 'unknown shader directive #endif'],
    ['#buffers x', 'unknown shader directive #buffers'],
    ['#include nowhere', 'includes nowhere'],
    ['$MISSING', '$MISSING'],
    ['$(MISSING + 1)', 'MISSING'],
    ['#if MISSING\n#endif', 'MISSING'],
    ['#if A &\n#endif', 'cannot read the shader expression'],
    ['#if A +\n#endif', 'ends early'],
    ['#if (A\n#endif', 'missing )'],
    ['#if A A\n#endif', 'cannot read the shader expression'],
    ['#for i 0\n#endfor', 'cannot read the shader line'],
    ['#buffer x array<f32>, read', 'cannot read the shader line'],
    ['#buffer x: array<f32>, write', 'cannot read the shader line'],
    ['#params', 'needs a struct Params'],
  ])('a mistake is named: %j', (source, message) => {
    expect(() => expandShader(source, { A: 1 })).toThrow(message);
  });
});

describe('the shader library', () => {
  const folder = new URL('../../shaders/', import.meta.url);
  const texts = Object.fromEntries(
    readdirSync(folder).map((file) => [file.replace(/\.wgsl$/, ''), readFileSync(new URL(file, folder), 'utf8')]),
  );

  test('holds every file of shaders/ under its own name', () => {
    expect(Object.keys(texts).length).toBeGreaterThan(50);
    expect(SHADERS).toEqual(texts);
  });

  test('is the same when esbuild makes it', async () => {
    const { outputFiles } = await build({
      stdin: { contents: "export { SHADERS } from 'virtual:shaders';" },
      plugins: [esbuildShaders()],
      bundle: true,
      write: false,
      format: 'esm',
    });
    const url = `data:text/javascript;base64,${Buffer.from(outputFiles[0]!.contents).toString('base64')}`;
    const made = (await import(/* @vite-ignore */ url)) as { SHADERS: typeof SHADERS };
    expect(made.SHADERS).toEqual(texts);
  });

  test('every include is found', () => {
    for (const [name, text] of Object.entries(SHADERS)) {
      for (const [, included] of text.matchAll(/^\s*#include\s+(\S+)/gm)) {
        for (const type of Object.keys(WEIGHT_FORMATS))
          expect(SHADERS, `${name} includes it`).toHaveProperty(included!.replace('$WEIGHT', type));
      }
    }
  });
});
