import type { InputData } from '../../engine/program.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { concatFloats } from '../../common/floats.ts';
import type {
  ConditionSpec,
  Conditions,
  Denoiser,
  DenoiserShape,
  DenoiserValues,
  ExampleShape,
  ForwardOptions,
} from '../diffusion/denoiser.ts';
import { lengthOf } from '../diffusion/denoiser.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';
import { fromRows, toRows } from '../layers/feature-rows.ts';
import { UNET_TARGETS } from './unet-targets.ts';
import type { UnetConfig, UnetShape } from './unet-2d-condition.ts';
import { TIME_IDS, unet, unetInputs, unetModules, unetSizeMultiple } from './unet-2d-condition.ts';

/** Names that target_modules may hold: the last parts of the layers' paths, as PEFT matches them. */
const lastParts = (module: string): string =>
  /(?:ff\.net\.\d+\.proj|ff\.net\.\d+|to_out\.\d+|samplers\.\d+\.conv|[^.]+)$/.exec(module)?.[0] ?? module;

const COMPONENT = 'unet';

/** diffusers' UNet2DConditionModel over samples [channels, height, width], told a text's states, and by SDXL its sizes. */
export class UnetDenoiser implements Denoiser {
  readonly config: UnetConfig;
  readonly component = COMPONENT;
  readonly probe = `${COMPONENT}.conv_in.weight`;
  readonly conditions: Readonly<Record<string, ConditionSpec>>;
  readonly usualTargets = UNET_TARGETS;
  #modules: readonly Projection[] | undefined;

  constructor(config: UnetConfig) {
    this.config = config;
    this.conditions = {
      encoder_hidden_states: { width: config.contextDim, isSequence: true },
      ...(config.added && {
        text_embeds: { width: config.added.textDim, isSequence: false },
        time_ids: { width: TIME_IDS, isSequence: false },
      }),
    };
  }

  get channels(): number {
    return this.config.inChannels;
  }

  get sizeMultiple(): number {
    return unetSizeMultiple(this.config);
  }

  get smallest(): ExampleShape {
    const side = this.sizeMultiple;
    return { sample: [this.channels, side, side], lengths: { encoder_hidden_states: 2 } };
  }

  get modules(): readonly Projection[] {
    return (this.#modules ??= unetModules(this.config, COMPONENT));
  }

  get targetModules(): readonly string[] {
    return [...new Set(this.modules.map(({ name }) => lastParts(name)))];
  }

  positions([, height, width]: readonly number[]): number {
    return height! * width!;
  }

  toRows(values: ArrayLike<number>, sample: readonly number[], channels = this.channels): Float32Array<ArrayBuffer> {
    return toRows(values, channels, this.positions(sample));
  }

  fromRows(rows: ArrayLike<number>, sample: readonly number[]): Float32Array<ArrayBuffer> {
    return fromRows(rows, this.channels, this.positions(sample));
  }

  #shape({ rows, sample: [, height, width], lengths }: DenoiserShape): UnetShape {
    const contextLength = lengthOf(lengths, 'encoder_hidden_states');
    return { images: rows, height: height!, width: width!, contextLength };
  }

  forward(b: ModelBuilder, shape: DenoiserShape, { training, given = {} }: ForwardOptions): Tensor {
    const { encoder_hidden_states: context, text_embeds: textEmbeds } = given;
    return unet(b, this.config, COMPONENT, this.#shape(shape), { training, context, textEmbeds });
  }

  inputs(shape: DenoiserShape, { sample, timesteps, conditions }: DenoiserValues): Record<string, InputData> {
    const all = (name: string): Float32Array<ArrayBuffer> | undefined =>
      conditions[0]?.[name] && concatFloats(conditions.map((each: Conditions) => each[name]!));
    return unetInputs(this.config, this.#shape(shape), {
      sample,
      timesteps,
      encoderHiddenStates: all('encoder_hidden_states'),
      textEmbeds: all('text_embeds'),
      timeIds: Array.from(all('time_ids') ?? []),
    });
  }
}
