import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../../src/engine/device.ts';
import { Graph } from '../../../src/engine/graph.ts';
import type { InputData } from '../../../src/engine/program.ts';
import type { Tensor } from '../../../src/engine/tensor.ts';
import {
  parseVaeConfig,
  vaeDecoder,
  vaeDecoderInputs,
  vaeEncoder,
  vaeEncoderInputs,
} from '../../../src/models/stable-diffusion/autoencoder-kl.ts';
import { ModelBuilder } from '../../../src/models/layers/builder.ts';
import {
  clipText,
  clipTextInputs,
  declareClipText,
  parseClipTextConfig,
} from '../../../src/models/clip/text-encoder.ts';
import { parseUnetConfig, unet, unetInputs } from '../../../src/models/stable-diffusion/unet-2d-condition.ts';
import { fromRows } from '../../../src/models/layers/feature-rows.ts';
import { fixture } from '../../support/disk-folder.ts';
import { ownDevice, relativeError, runGraph } from '../engine/support.ts';
import type { Values } from '../engine/support.ts';

type Config = Record<string, unknown>;
const { unets, vaes, texts } = fixture<{
  unets: Record<string, { config: Config; output: number[] }>;
  vaes: Record<string, { config: Config & { latent_channels: number }; moments: number[]; decoded: number[] }>;
  texts: Record<string, { config: Config; last: number[]; penultimate: number[] }>;
}>('look-variants.json');

/** value() of tests/reference/look_variant_fixtures.py. */
function value(name: string, count: number): Float64Array {
  const seed = Array.from(name).reduce((sum, c, i) => sum + (i + 1) * c.charCodeAt(0), 0) % 997;
  return Float64Array.from({ length: count }, (_, i) => Math.sin(seed + 0.37 * i + 0.011 * i * i));
}

const single = (name: string, count: number): Values => Float32Array.from(value(name, count));

/** Weights as the reference fills its models with, in the order of the device. */
function weightsOf(graph: Graph, reference: (name: string) => string): Record<string, Values> {
  const weights: Record<string, Values> = {};
  for (const { spec } of graph.weights.values()) {
    for (const { name, shape, kernel } of spec.sources) {
      const count = shape.reduce((product, size) => product * size, 1);
      const rows = shape[0]!;
      const row = count / rows;
      const isNorm = /norm\w*\.weight$/.test(name);
      const isTable = name.includes('_embedding.weight');
      const scale = isTable ? 1 : shape.length === 1 ? 0.2 : 1.4 / Math.sqrt(row);
      const file = single(reference(name), count);
      const filled = file.map((x) => (isNorm ? 1 + 0.25 * x : scale * x));
      const area = kernel ? kernel[0] * kernel[1] : 1;
      weights[name] = filled.map((_, i) => {
        const within = i % row;
        const channel = within % (row / area);
        return filled[i - within + channel * area + Math.floor(within / (row / area))]!;
      });
    }
  }
  return weights;
}

let device: Device;
beforeAll(async () => {
  device = await ownDevice();
});
afterAll(() => {
  device.destroy();
});

async function outputOf(
  build: (b: ModelBuilder) => Record<string, Tensor>,
  inputs: Record<string, InputData>,
): Promise<Record<string, Values>> {
  const graph = new Graph();
  const outputs = build(new ModelBuilder({ graph, dtypeOf: () => 'f32' }));
  for (const [key, tensor] of Object.entries(outputs)) graph.output(key, tensor);
  const weights = weightsOf(graph, (name) => name.replace(/^(?:unet|vae|text_encoder\.text_model)\./, ''));
  return (await runGraph(device, graph, { inputs, weights })).outputs;
}

describe('settings that real models seldom have', () => {
  test.each(Object.entries(unets))('UNet: %s', async (_, { config, output }) => {
    const parsed = parseUnetConfig(config);
    const shape = { images: 2, height: 4, width: 8, contextLength: 5 };
    const inputs = unetInputs(parsed, shape, {
      sample: single('sample', 2 * 4 * 32),
      timesteps: [999, 3.25],
      encoderHiddenStates: single('context', 2 * 5 * parsed.contextDim),
    });
    const { y } = await outputOf((b) => ({ y: unet(b, parsed, 'unet', shape, { training: false }) }), inputs);
    expect(relativeError(fromRows(y!, 4, 32), output)).toBeLessThan(2e-5);
  });

  test.each(Object.entries(vaes))('autoencoder: %s', async (_, { config, moments, decoded }) => {
    const parsed = parseVaeConfig(config);
    const pictures = { images: 2, height: 7, width: 9 };
    const encoded = await outputOf(
      (b) => ({ y: vaeEncoder(b, parsed, 'vae', pictures) }),
      vaeEncoderInputs(parsed, pictures, single('pixels', 2 * 3 * 63)),
    );
    const channels = 2 * config.latent_channels;
    expect(relativeError(fromRows(encoded['y']!, channels, moments.length / 2 / channels), moments)).toBeLessThan(2e-5);
    const latents = { images: 2, height: 2, width: 3 };
    const { y } = await outputOf(
      (b) => ({ y: vaeDecoder(b, parsed, 'vae', latents) }),
      vaeDecoderInputs(parsed, latents, single('latents', 2 * config.latent_channels * 6)),
    );
    expect(relativeError(fromRows(y!, 3, decoded.length / 6), decoded)).toBeLessThan(2e-5);
  });

  test.each(Object.entries(texts))('text encoder: %s', async (_, { config, last, penultimate }) => {
    const parsed = parseClipTextConfig(config, { withProjection: false });
    const shape = { images: 2, length: 5 };
    const ids = [
      [18, 3, 5, 19, 19],
      [18, 1, 0, 7, 19],
    ];
    const states = await outputOf(
      (b) => {
        const inputs = declareClipText(b.graph, parsed, 'text_encoder', shape, false);
        const { lastHiddenState, penultimate: before } = clipText(b, parsed, 'text_encoder', inputs, shape);
        return { last: lastHiddenState, penultimate: before };
      },
      clipTextInputs(ids, parsed, 'text_encoder'),
    );
    expect(relativeError(states['last']!, last)).toBeLessThan(5e-6);
    expect(relativeError(states['penultimate']!, penultimate)).toBeLessThan(5e-6);
  });
});
