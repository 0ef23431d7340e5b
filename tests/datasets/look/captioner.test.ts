import { afterEach, describe, expect, it, vi } from 'vitest';
import { openCaptioner } from '../../../src/datasets/look/captioner.ts';
import type { OnnxFolder } from '../../../src/datasets/transformers-js.ts';
import type { Pixels } from '../../../src/datasets/look/types.ts';
import { UserError } from '../../../src/common/errors.ts';
import { diskFolder, fixture, FIXTURES } from '../../support/disk-folder.ts';
import { nodeRuntime as runtime } from '../../support/onnx.ts';

const expected = fixture<{
  side: number;
  captions: { seed: number; text: string }[];
}>('look-captioner/expected.json');
const folder = diskFolder(`${FIXTURES}look-captioner`);

/** As look_captioner.py draws them. */
function bands(seed: number, side: number): Pixels {
  const data = new Uint8ClampedArray(4 * side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      data.set(
        [(x * (3 + seed)) % 256, (y * (5 + 2 * seed)) % 256, ((x + y) * (1 + 3 * seed)) % 256, 255],
        4 * (y * side + x),
      );
    }
  }
  return { width: side, height: side, data };
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('captions by a model', () => {
  it('says what transformers says with the same model, and fetches nothing', async () => {
    const fetched = vi.fn(() => Promise.reject(new Error('the network was asked')));
    vi.stubGlobal('fetch', fetched);
    const progress: number[] = [];
    const captioner = await openCaptioner({ model: { folder }, runtime, onProgress: (at) => progress.push(at) });
    for (const { seed, text } of expected.captions) {
      expect(await captioner.describe(bands(seed, expected.side))).toBe(text);
    }
    await captioner.close();
    expect(fetched).not.toHaveBeenCalled();
    expect(progress.at(-1)).toBe(1);
  });

  it('describes large pictures scaled down, and opens again after closing', async () => {
    const captioner = await openCaptioner({ model: { folder }, runtime });
    const large = bands(1, 900);
    expect(await captioner.describe(large)).toMatch(/^\w+( \w+)*$/);
    await captioner.close();
  });

  it('asks the hub only for the model that was named', async () => {
    const asked: string[] = [];
    vi.stubGlobal('fetch', (address: unknown) => {
      asked.push(String(address));
      return Promise.resolve(new Response(null, { status: 404 }));
    });
    await expect(openCaptioner({ model: { hub: 'someone/some-model' }, runtime })).rejects.toThrow(
      /The model someone\/some-model could not be fetched or opened/,
    );
    expect(asked.length).toBeGreaterThan(0);
    for (const address of asked) expect(address).toMatch(/^https:\/\/huggingface\.co\/someone\/some-model\//);
  });

  it('refuses a folder that holds none, in words', async () => {
    const empty: OnnxFolder = { files: ['config.json', 'model.safetensors'], read: folder.read };
    const failed = openCaptioner({ model: { folder: empty }, runtime });
    await expect(failed).rejects.toBeInstanceOf(UserError);
    await expect(failed).rejects.toThrow(
      /tokenizer\.json, tokenizer_config\.json, preprocessor_config\.json, onnx\/\*\.onnx are missing/,
    );
    const broken: OnnxFolder = {
      files: folder.files,
      read: async (path) => (path.endsWith('.onnx') ? new Uint8Array(100) : folder.read(path)),
    };
    await expect(openCaptioner({ model: { folder: broken }, runtime })).rejects.toThrow(/could not be opened/);
  });
});
