import { describe, expect, it } from 'vitest';
import { dragCrop, moveCrop, CROP_EDGES } from '../../../src/state/look/crop.ts';
import { lookFiles } from '../../../src/state/look/model-files.ts';
import { suggestPrompts, suggestWord } from '../../../src/state/look/captions.ts';
import { samplesAt } from '../../../src/state/samples.ts';
import { newProject, readProject, type ProjectRecord } from '../../../src/storage/records.ts';

const picked = (name: string, paths: string[]) => ({
  name,
  files: paths.map((path) => ({ path, file: new File(['x'], path) })),
});
const paths = (folder: ReturnType<typeof lookFiles>): string[] => folder.files.map(({ path }) => path).sort();

describe('a crop by hand', () => {
  const [width, height] = [400, 300];
  const crop = { x: 50, y: 40, width: 100, height: 80 };

  it('moves as far as the picture reaches and keeps its size', () => {
    expect(moveCrop(crop, 10.4, -5.6, width, height)).toEqual({ ...crop, x: 60, y: 34 });
    expect(moveCrop(crop, -500, 500, width, height)).toEqual({ ...crop, x: 0, y: 220 });
  });

  it('keeps the opposite side where it is, whichever is dragged', () => {
    for (const side of CROP_EDGES) {
      for (const [dx, dy] of [
        [15, 25],
        [-15, -25],
        [900, 900],
        [-900, -900],
      ] as const) {
        const next = dragCrop(crop, side, dx, dy, width, height);
        if (side.includes('w')) expect(next.x + next.width).toBe(150);
        else expect(next.x).toBe(50);
        if (side.includes('n')) expect(next.y + next.height).toBe(120);
        else expect(next.y).toBe(40);
        expect(next.x).toBeGreaterThanOrEqual(0);
        expect(next.y).toBeGreaterThanOrEqual(0);
        expect(next.x + next.width).toBeLessThanOrEqual(width);
        expect(next.y + next.height).toBeLessThanOrEqual(height);
        expect(Math.min(next.width, next.height)).toBeGreaterThanOrEqual(16);
      }
    }
  });

  it('is never larger than a picture smaller than the smallest crop', () => {
    const small = { x: 0, y: 0, width: 9, height: 9 };
    expect(dragCrop(small, 'se', -5, -5, 9, 9)).toEqual(small);
  });
});

describe('an image model among picked files', () => {
  const diffusers = [
    'model_index.json',
    'scheduler/scheduler_config.json',
    'text_encoder/config.json',
    'text_encoder/model.safetensors',
    'tokenizer/vocab.json',
    'tokenizer/merges.txt',
    'unet/config.json',
    'unet/diffusion_pytorch_model.safetensors',
    'vae/config.json',
    'vae/diffusion_pytorch_model.safetensors',
  ];

  it('takes the parts of a diffusers folder, once each, and leaves the rest', () => {
    const more = [
      'unet/diffusion_pytorch_model.fp16.safetensors',
      'unet/diffusion_pytorch_model.non_ema.safetensors',
      'unet/diffusion_pytorch_model.bin',
      'v1-5-pruned.safetensors',
      'safety_checker/model.safetensors',
      'README.md',
      'unet/old/config.json',
    ];
    expect(paths(lookFiles(picked('sd', [...diffusers, ...more])))).toEqual([...diffusers].sort());
  });

  it('keeps half precision where that is all there is', () => {
    const half = diffusers.map((path) => path.replace(/model\.safetensors$/, 'model.fp16.safetensors'));
    expect(paths(lookFiles(picked('sd', half)))).toEqual([...half].sort());
  });

  it('names the part that has no weights', () => {
    const without = diffusers.filter((path) => path !== 'vae/diffusion_pytorch_model.safetensors');
    expect(() => lookFiles(picked('sd', without))).toThrow(/“sd” has no \.safetensors file in vae\//);
  });

  it('takes a checkpoint with its tokenizer and calls it by its file', () => {
    const folder = lookFiles(picked('models', ['tokenizer/vocab.json', 'tokenizer/merges.txt', 'photon.safetensors']));
    expect(folder.name).toBe('photon');
    expect(folder.files).toHaveLength(3);
    expect(lookFiles(picked('photon', ['model.safetensors', 'vocab.json', 'merges.txt'])).name).toBe('photon');
  });

  it('says what is missing or not clear', () => {
    expect(() => lookFiles(picked('empty', []))).toThrow(/“empty” is empty/);
    expect(() => lookFiles(picked('one', ['a.safetensors']))).toThrow(/vocab\.json and merges\.txt/);
    expect(() => lookFiles(picked('two', ['a.safetensors', 'b.safetensors', 'vocab.json', 'merges.txt']))).toThrow(
      /2 \.safetensors files/,
    );
    expect(() => lookFiles(picked('old', ['a.ckpt']))).toThrow(/“a\.ckpt” is a model in another format/);
    expect(() => lookFiles(picked('chat', ['config.json', 'model.safetensors', 'tokenizer.json']))).toThrow(
      /“chat” has a config\.json and no model_index\.json, so it is a chat model/,
    );
    expect(() => lookFiles(picked('holiday', ['beach.jpg']))).toThrow(/neither a model_index\.json/);
  });
});

describe('words for a look', () => {
  it('proposes a made-up word, the same for the same project, of two different syllables', () => {
    const words = Array.from({ length: 200 }, (_, i) => suggestWord(`project${i}`));
    expect(suggestWord('project7')).toBe(words[7]);
    expect(new Set(words).size).toBeGreaterThan(50);
    for (const word of words) expect(word).toMatch(/^[a-z]{4,6}$/);
  });

  it('proposes prompts with the word, or the first caption without one', () => {
    const rows = [{ caption: 'a house by the sea' }];
    expect(suggestPrompts(rows, { triggerWord: 'zilo' })).toEqual([
      'a photo of zilo',
      'a photo of zilo on a beach',
      'a painting of zilo',
    ]);
    expect(suggestPrompts(rows, { triggerWord: '' })).toEqual(['a house by the sea']);
    expect(suggestPrompts([{ caption: '' }], { triggerWord: '' })).toEqual([]);
  });
});

describe('what is kept', () => {
  it('reads projects of the first version as voices', () => {
    const old: Partial<ProjectRecord> = { ...newProject('p', 'voice', 'Old', 1) };
    delete old.sampleSeed;
    delete old.task;
    expect(readProject(old as ProjectRecord)).toEqual(newProject('p', 'voice', 'Old', 1));
    const { sampleSeed: _, ...look } = newProject('p', 'look', 'New', 1);
    const older = { ...look, look: { sampleSeed: 9 }, sound: { sampleSeed: 3 } } as unknown as ProjectRecord;
    expect(readProject(older)).toEqual({ ...look, sampleSeed: 9 });
    expect(readProject({ ...older, task: 'sound' }).sampleSeed).toBe(3);
  });

  it('shows the samples of the moment that is exported', () => {
    const png = new Blob();
    const at = (step: number, prompt: string) => ({ step, prompt, seed: 1, base: png, tuned: png });
    const samples = [at(0, 'a'), at(0, 'b'), at(50, 'a'), at(50, 'b'), at(100, 'a')];
    expect(samplesAt(samples, 75).map(({ step, prompt }) => `${step}${prompt}`)).toEqual(['50a', '50b']);
    expect(samplesAt(samples, 100)).toHaveLength(1);
    expect(samplesAt([], 100)).toEqual([]);
  });
});
