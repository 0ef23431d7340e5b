import { describe, expect, it } from 'vitest';
import { openTagger, pickTags, TAG_GROUPS } from '../../../src/datasets/sounds/tagger.ts';
import type { OnnxFolder } from '../../../src/datasets/transformers-js.ts';
import { UserError } from '../../../src/engine/errors.ts';

describe('tags', () => {
  const scores = (values: readonly number[]) => values.map((score, i) => ({ label: `word ${i}`, score }));

  it('are those that stand out, best first, as many as a group allows', () => {
    // Ten words: by chance each is a tenth.
    const clear = scores([0.02, 0.5, 0.01, 0.3, 0.02, 0.03, 0.05, 0.03, 0.02, 0.02]);
    expect(pickTags(clear, 3)).toEqual(['word 1', 'word 3']);
    expect(pickTags(clear, 1)).toEqual(['word 1']);
    expect(pickTags(scores(new Array<number>(10).fill(0.1)), 3)).toEqual([]);
  });

  it('are offered in groups whose sentences take them', () => {
    const all = TAG_GROUPS.flatMap(({ words }) => words);
    expect(new Set(all).size).toBe(all.length);
    for (const { sentence, most, words } of TAG_GROUPS) {
      expect(sentence).toContain('{}');
      expect(most).toBeLessThan(words.length);
    }
  });

  it('need a folder of such a model', async () => {
    const folder: OnnxFolder = { files: ['config.json', 'readme.md'], read: () => expect.fail() };
    const runtime = { mjs: '', wasm: '', device: 'cpu' } as const;
    const opening = openTagger({ model: { folder }, runtime });
    await expect(opening).rejects.toBeInstanceOf(UserError);
    await expect(opening).rejects.toThrow(
      /tokenizer\.json, preprocessor_config\.json, onnx\/\*\.onnx are missing.*CLAP/,
    );
  });
});
