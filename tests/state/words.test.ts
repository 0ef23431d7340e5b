import { describe, expect, it } from 'vitest';
import { contextMeter } from '../../src/state/context-meter.ts';
import { judge } from '../../src/state/fit.ts';
import { formatDuration, formatLoss, formatRate, plural } from '../../src/state/format.ts';
import { describeGpu } from '../../src/state/gpu-labels.ts';
import { modelFiles } from '../../src/state/pick-folder.ts';
import { parseRoute } from '../../src/state/routes.ts';
import { scoreLine, signTest } from '../../src/state/score.ts';
import type { PlanReport } from '../../src/tasks/voice/types.ts';
import type { GpuReport } from '../../src/worker/protocol.ts';

describe('addresses', () => {
  it.each([
    ['', { page: 'home' }],
    ['#/', { page: 'home' }],
    ['#/settings', { page: 'settings' }],
    ['#/projects/abc', { page: 'project', projectId: 'abc', step: 'ask' }],
    ['#/projects/abc/train', { page: 'project', projectId: 'abc', step: 'train' }],
    ['#/projects/abc/paint', { page: 'missing' }],
    ['#/projects/<script>/train', { page: 'missing' }],
    ['#/projects/abc/train/more', { page: 'missing' }],
    ['#/elsewhere', { page: 'missing' }],
  ])('%s', (hash, route) => {
    expect(parseRoute(hash)).toEqual(route);
  });
});

describe('the context meter', () => {
  it('guesses without a tokenizer and says so', () => {
    expect(contextMeter('x'.repeat(400), null, null)).toMatchObject({ tokens: 100, exact: false, context: null });
  });

  it('leaves room for exchanges, or none', () => {
    expect(contextMeter('', 0, 1024)).toMatchObject({ tokens: 0, exchanges: 8, share: 0 });
    expect(contextMeter('long', 900, 1024)).toMatchObject({ exact: true, exchanges: 1 });
    expect(contextMeter('longer', 2000, 1024)).toMatchObject({ exchanges: 0 });
  });
});

const PLAN: PlanReport = {
  frozenBytes: 0,
  adapterBytes: 0,
  activationBytes: 0,
  workspaceBytes: 0,
  ioBytes: 0,
  sampleBytes: 0,
  totalBytes: 6e9,
  dispatchesPerStep: 1,
  flopsPerStep: 2e12,
  bytesMovedPerStep: 1,
  recomputedBlocks: 0,
  adapterParameters: 1,
  tokensPerStep: 1,
  totalSteps: 100,
};

describe('whether a run fits', () => {
  const answer = { plan: PLAN, measuredFlops: 1e12, isSoftware: false };
  it.each([
    [12, 'fits'],
    [8, 'tight'],
    [6, 'too large'],
    [0, 'unknown'],
  ] as const)('%d GB: %s', (memory, verdict) => {
    expect(judge(answer, memory)).toMatchObject({ verdict, seconds: 200, measured: true });
  });

  it('does not doubt a small run', () => {
    expect(judge({ ...answer, plan: { ...PLAN, totalBytes: 5e7 } }, 0).verdict).toBe('fits');
  });
});

describe('the graphics card in words', () => {
  const report = (fields: Partial<GpuReport>): GpuReport => ({
    state: 'ready',
    vendor: '',
    architecture: '',
    description: '',
    hasF16: true,
    secure: true,
    message: '',
    maxBufferSize: 0,
    ...fields,
  });
  const CHROME = 'Mozilla/5.0 (Windows NT 10.0) Chrome/150.0';

  it('names a card that is ready', () => {
    expect(describeGpu(report({ description: 'NVIDIA GeForce RTX 4070' }), '', '', CHROME)).toEqual({
      tone: 'good',
      line: 'NVIDIA GeForce RTX 4070, ready.',
      help: [],
    });
    expect(
      describeGpu(report({ vendor: 'nvidia', architecture: 'ampere', hasF16: false }), '', '', CHROME).line,
    ).toMatch(/NVIDIA \(ampere\), ready\. Half precision is not offered here; that is fine/);
  });

  it('points to the other card of a laptop', () => {
    expect(describeGpu(report({ vendor: 'intel', architecture: 'xe' }), '', '', CHROME).help.join()).toMatch(
      /High performance/,
    );
  });

  it.each([
    ['no WebGPU, not secure', report({ state: 'no-webgpu', secure: false }), CHROME, /https/],
    ['no WebGPU on Linux', report({ state: 'no-webgpu' }), 'X11; Linux x86_64 Chrome/150', /enable-unsafe-webgpu/],
    ['no WebGPU in Firefox', report({ state: 'no-webgpu' }), 'Gecko Firefox/130', /Firefox has WebGPU/],
    ['no WebGPU in Safari', report({ state: 'no-webgpu' }), 'Macintosh Version/17 Safari/605', /Safari has WebGPU/],
    ['no adapter', report({ state: 'no-adapter' }), CHROME, /hardware acceleration/],
    ['driver', report({ state: 'failed', message: 'It refused.' }), CHROME, /driver/],
  ])('%s: says what to do', (_, given, agent, help) => {
    const words = describeGpu(given, '', '', agent);
    expect(words.tone).toBe('bad');
    expect(words.help.join(' ')).toMatch(help);
  });

  it('says that a software adapter works, slowly', () => {
    const words = describeGpu(
      report({ state: 'software', vendor: 'google', architecture: 'swiftshader' }),
      '',
      '',
      CHROME,
    );
    expect(words).toMatchObject({ tone: 'slow', line: expect.stringContaining('SwiftShader') as string });
  });

  it('says of a lost card that nothing is lost', () => {
    expect(describeGpu(report({}), '', 'driver reset', CHROME).help.join()).toMatch(/Nothing that was kept is lost/);
  });
});

describe('a picked folder', () => {
  const folder = (...paths: string[]) => ({
    name: 'thing',
    files: paths.map((path) => ({ path, file: new File(['x'], path) })),
  });

  it('takes what a model is made of and leaves the rest', () => {
    const { files } = modelFiles(
      folder('config.json', 'tokenizer.json', 'model.safetensors', 'README.md', 'onnx/model.json', 'pytorch_model.bin'),
    );
    expect(files.map(({ path }) => path)).toEqual(['config.json', 'tokenizer.json', 'model.safetensors']);
  });

  it.each([
    [folder(), /“thing” is empty/],
    [folder('photo.jpg', 'b.jpg', 'c.jpg'), /no model folder: there is no config\.json/],
    [folder('model.gguf'), /“model\.gguf” is a model in another format/],
    [folder('config.json', 'tokenizer.json', 'pytorch_model.bin'), /no \.safetensors file, only pytorch_model\.bin/],
    [folder('config.json', 'model.safetensors'), /no tokenizer\.json/],
  ])('refuses others with a sentence', (given, sentence) => {
    expect(() => modelFiles(given)).toThrow(sentence);
  });
});

describe('votes', () => {
  it('are honest about chance', () => {
    expect(signTest(0, 0)).toBe(1);
    expect(signTest(5, 0)).toBeCloseTo(0.0625, 12);
    expect(signTest(8, 2)).toBeCloseTo(0.109375, 12);
    expect(signTest(3, 3)).toBe(1);
    expect(scoreLine({ better: 0, same: 0, worse: 0 })).toBe('No votes yet.');
    expect(scoreLine({ better: 3, same: 1, worse: 0 })).toMatch(/Too few/);
    expect(scoreLine({ better: 6, same: 0, worse: 3 })).toMatch(/chance/);
    expect(scoreLine({ better: 12, same: 2, worse: 1 })).toMatch(/really preferred/);
  });
});

describe('numbers in words', () => {
  it('reads like speech', () => {
    expect(plural(1, 'row')).toBe('1 row');
    expect(plural(1204, 'row')).toBe('1,204 rows');
    expect(formatDuration(0.4)).toBe('less than a second');
    expect(formatDuration(45)).toBe('45 seconds');
    expect(formatDuration(3600 * 3 + 300)).toBe('3 hours 5 minutes');
    expect(formatDuration(NaN)).toBe('unknown');
    expect(formatLoss(null)).toBe('–');
    expect(formatLoss(2.34567)).toBe('2.346');
    expect(formatRate(2e-4)).toBe('2.0e−4');
  });
});
