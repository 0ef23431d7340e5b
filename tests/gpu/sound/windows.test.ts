import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Program } from '../../../src/engine/program.ts';
import { IDLE_STEP } from '../../../src/engine/wgsl.ts';
import { windowFrames } from '../../../src/models/encodec/encodec.ts';
import type { CodecPart } from '../../../src/models/encodec/encodec.ts';
import type { CodecRun } from '../../../src/models/encodec/windows.ts';
import { decodeSound, encodeSound } from '../../../src/models/encodec/run.ts';
import { channelCodebooks } from '../../../src/models/musicgen/delay.ts';
import { codecGraph } from '../../../src/tasks/sound/codec-graphs.ts';
import type { SoundModel } from '../../../src/tasks/sound/model.ts';
import { FIXTURES, diskFolder } from '../../support/disk-folder.ts';
import { ErrorNorm, readExpected } from '../../support/reference.ts';
import { LIMITS, loadBase } from './support.ts';

/** Blocks of the LSTM that end in the middle of a window, and the smallest windows there can be. */
const LSTM_FRAMES = 11;

describe.each(['sound-mono', 'sound-stereo'])('a sound in many small windows, %s', (name) => {
  const folder = diskFolder(`${FIXTURES}${name}/components`);
  const programs = new Map<string, Program>();
  let model: SoundModel;
  beforeAll(async () => {
    model = await loadBase(name, 'cpu');
    await model.base.load('codec');
  });
  afterAll(() => {
    for (const program of programs.values()) program.destroy();
    model.destroy();
  });

  const codec = (windows: number): CodecRun => ({
    config: model.base.config.audio,
    codebooks: channelCodebooks(model.base.config.decoder),
    windows,
    frames: (part: CodecPart) => (part.endsWith('lstm') ? LSTM_FRAMES : windowFrames(model.base.config.audio, part, 1)),
    async run(part, size, inputs) {
      const key = `${part} ${size.frames} ${size.windows}`;
      let program = programs.get(key);
      if (!program) {
        const plan = model.base.planOf(codecGraph(model.base.graphOptions(), part, size));
        program = await Program.build(model.base.device, plan, { weights: model.base });
        programs.set(key, program);
      }
      return program.run(inputs, IDLE_STEP);
    },
  });

  test.each([1, 3])('has the same codes, %i at a time', async (windows) => {
    const { values, shape } = (await readExpected(folder, 'audio_encoder-long.safetensors')).get('input_values')!;
    const [, channels, samples] = shape as [number, number, number];
    const wanted = (await readExpected(folder, 'audio_encoder-long.expected.safetensors')).get('audio_codes')!;
    const first = Float32Array.from(values.subarray(0, channels * samples));
    const sound = Array.from({ length: channels }, (_, c) => first.slice(c * samples, (c + 1) * samples));
    const codes = await encodeSound(codec(windows), sound);
    expect(codes.length).toBe(wanted.values.length / wanted.shape[0]!);
    expect(Array.from(codes)).toEqual(Array.from(wanted.values.subarray(0, codes.length)));
  });

  test('sounds the same', async () => {
    const { channels } = model.base.config.decoder;
    const given = (await readExpected(folder, 'audio_decoder-long.safetensors')).get('audio_codes')!;
    const wanted = (await readExpected(folder, 'audio_decoder-long.expected.safetensors')).get('audio_values')!;
    const codes = given.values.subarray(0, given.values.length / given.shape[0]!);
    const sound = await decodeSound(codec(1), codes, channels);
    const samples = wanted.shape[2]!;
    sound.forEach((channel, c) => {
      const error = new ErrorNorm().add(channel, wanted.values.subarray(c * samples, (c + 1) * samples));
      expect(error).toBeLessThan(LIMITS.audio_decoder);
    });
  });
});
