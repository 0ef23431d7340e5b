import { describe, expect, it } from 'vitest';
import { parseSoundLora } from '../../../src/tasks/sound/adapter.ts';
import { makeSoundBundle, type SoundBundleOptions } from '../../../src/tasks/sound/bundle.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';

const options: SoundBundleOptions = {
  name: 'Dances; rm -rf ~',
  clips: [
    { file: '../../étude "no. 1".mp3', bytes: new Uint8Array([1, 2]), words: 'a dance,\n"quick"' },
    { file: 'étude no 1.flac', bytes: new Uint8Array([3]), words: '' },
  ],
  recipe: parseRecipe({ learning_rate: 1e-4, max_duration_in_seconds: 12 }, 'sound'),
  lora: parseSoundLora({}),
  base: { name: 'musicgen-small', repository: null, channels: 1 },
  prompt: 'a dance',
  triggerWord: '',
  steps: 120,
  warmupSteps: 6,
};
const text = (files: Map<string, Uint8Array>, path: string): string => new TextDecoder().decode(files.get(path));

describe('a bundle for musicgen-dreamboothing', () => {
  const files = makeSoundBundle(options);

  it('names its files itself and holds each clip with its words', () => {
    expect([...files.keys()]).toEqual([
      'data/0001-etude-no-1.wav',
      'data/0002-etude-no-1.wav',
      'data/metadata.jsonl',
      'run.json',
      'train.sh',
      'sky.yaml',
      'README.md',
    ]);
    const rows = text(files, 'data/metadata.jsonl')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(rows).toEqual([
      { file_name: '0001-etude-no-1.wav', text: 'a dance, "quick"' },
      { file_name: '0002-etude-no-1.wav', text: '' },
    ]);
  });

  it('says the run in the trainer’s names', () => {
    const run = JSON.parse(text(files, 'run.json')) as Record<string, unknown>;
    expect(run).toMatchObject({
      dataset_name: './data',
      text_column_name: 'text',
      max_duration_in_seconds: 12,
      learning_rate: 1e-4,
      max_steps: 120,
      warmup_steps: 6,
      use_lora: true,
      full_generation_sample_text: 'a dance',
    });
  });

  it('runs nothing that a person wrote', () => {
    expect(text(files, 'train.sh')).not.toContain('rm -rf');
    expect(text(files, 'sky.yaml')).toContain('name: "sound-dances-rm-rf"');
    const quoted = makeSoundBundle({ ...options, base: { ...options.base, repository: "a'; rm -rf ~; '" } });
    expect(text(quoted, 'train.sh')).toContain(`BASE='a'\\''; rm -rf ~; '\\'''`);
  });

  it('tells what is different there', () => {
    expect(text(files, 'README.md')).not.toContain('alpha 16 written');
    const other = makeSoundBundle({
      ...options,
      lora: parseSoundLora({ r: 4 }),
      base: { ...options.base, channels: 2 },
    });
    expect(text(other, 'README.md')).toMatch(/rank 4[\s\S]*stereo/);
  });

  it('refuses to be empty', () => {
    expect(() => makeSoundBundle({ ...options, clips: [] })).toThrow(/no clips/);
  });
});
