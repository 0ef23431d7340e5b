/**
 * Names of modules in kohya's files (sd-scripts' networks/lora.py): a prefix for the component and the module's path with
 * every dot as an underscore. Stable Diffusion 1 and 2 keep diffusers' paths; XL has those of Stability's own code (SGM),
 * where a level's blocks are numbered through. Both spellings of either are read.
 */
export type LookComponent = 'unet' | 'text_encoder' | 'text_encoder_2';

export const LOOK_COMPONENTS: readonly LookComponent[] = ['unet', 'text_encoder', 'text_encoder_2'];

/** ResNet blocks of a level of Stable Diffusion's UNets. */
export const LAYERS_PER_BLOCK = 2;

const RESNET_TO_SGM: Readonly<Record<string, string>> = {
  conv1: 'in_layers.2',
  conv2: 'out_layers.3',
  time_emb_proj: 'emb_layers.1',
  conv_shortcut: 'skip_connection',
};

const TOP_TO_SGM: Readonly<Record<string, string>> = {
  conv_in: 'input_blocks.0.0',
  conv_out: 'out.2',
  'time_embedding.linear_1': 'time_embed.0',
  'time_embedding.linear_2': 'time_embed.2',
  'add_embedding.linear_1': 'label_emb.0.0',
  'add_embedding.linear_2': 'label_emb.0.2',
};

/** The component and the path inside it of an internal name such as unet.mid_block.attentions.0.proj_in. */
export function splitComponent(module: string): { component: LookComponent; path: string } {
  const at = module.indexOf('.');
  const component = module.slice(0, at);
  if (!LOOK_COMPONENTS.includes(component as LookComponent)) throw new Error(`${module} names no part of a look`);
  return { component: component as LookComponent, path: module.slice(at + 1) };
}

/** A UNet's path in diffusers as the path in SGM. An up block that has an upsampler is taken to have attention, as in XL. */
export function sgmPath(path: string, layersPerBlock: number): string {
  const top = TOP_TO_SGM[path];
  if (top !== undefined) return top;
  const perBlock = layersPerBlock + 1;
  const mid = /^mid_block\.(resnets|attentions)\.(\d+)\.(.+)$/.exec(path);
  if (mid) {
    const [, kind, layer, rest] = mid as unknown as [string, string, string, string];
    return kind === 'attentions'
      ? `middle_block.${2 * Number(layer) + 1}.${rest}`
      : `middle_block.${2 * Number(layer)}.${RESNET_TO_SGM[rest] ?? rest}`;
  }
  const level = /^(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)$/.exec(path);
  if (!level) throw new Error(`${path} has no name in SGM`);
  const [, way, block, kind, layer, rest] = level as unknown as [string, string, string, string, string, string];
  const first = Number(block) * perBlock;
  if (kind === 'downsamplers') return `input_blocks.${first + perBlock}.0.op`;
  if (kind === 'upsamplers') return `output_blocks.${first + layersPerBlock}.2.conv`;
  const number =
    way === 'down' ? `input_blocks.${first + Number(layer) + 1}` : `output_blocks.${first + Number(layer)}`;
  return kind === 'attentions' ? `${number}.1.${rest}` : `${number}.0.${RESNET_TO_SGM[rest] ?? rest}`;
}

const TRANSFORMER_TAIL =
  /^(proj_in|proj_out|transformer_blocks_(\d+)_(?:(attn[12])_(to_[qkv]|to_out_0)|ff_net_(0_proj|2)))$/;

function transformerTail(tail: string): string | undefined {
  const match = TRANSFORMER_TAIL.exec(tail);
  if (!match) return undefined;
  const [, whole, block, attention, projection, feedForward] = match;
  if (block === undefined) return whole;
  return attention === undefined
    ? `transformer_blocks.${block}.ff.net.${feedForward!.replace('_', '.')}`
    : `transformer_blocks.${block}.${attention}.${projection!.replace('to_out_0', 'to_out.0')}`;
}

/** conv1 and its kind, from either spelling. */
function resnetTail(tail: string): string | undefined {
  return Object.entries(RESNET_TO_SGM).find(([own, sgm]) => tail === own || tail === sgm.replaceAll('.', '_'))?.[0];
}

function joined(start: string, tail: string | undefined): string | undefined {
  return tail === undefined ? undefined : `${start}.${tail}`;
}

function diffusersUnetPath(name: string): string | undefined {
  const match = /^((?:down|up)_blocks_\d+|mid_block)_(attentions|resnets|downsamplers|upsamplers)_(\d+)_(.+)$/.exec(
    name,
  );
  if (!match) return undefined;
  const [, block, kind, layer, tail] = match as unknown as [string, string, string, string, string];
  const start = `${block.replace(/_blocks_/, '_blocks.')}.${kind}.${layer}`;
  if (kind === 'attentions') return joined(start, transformerTail(tail));
  if (kind === 'resnets') return joined(start, Object.hasOwn(RESNET_TO_SGM, tail) ? tail : undefined);
  return tail === 'conv' ? `${start}.conv` : undefined;
}

function sgmUnetPath(name: string, layersPerBlock: number): string | undefined {
  const middle = /^middle_block_([012])_(.+)$/.exec(name);
  if (middle) {
    const number = Number(middle[1]);
    return number === 1
      ? joined('mid_block.attentions.0', transformerTail(middle[2]!))
      : joined(`mid_block.resnets.${number / 2}`, resnetTail(middle[2]!));
  }
  const match = /^(input|output)_blocks_(\d+)_([012])_(.+)$/.exec(name);
  if (!match) return undefined;
  const [, way, number, inner, tail] = match as unknown as [string, string, string, string, string];
  const perBlock = layersPerBlock + 1;
  const at = Number(number) - (way === 'input' ? 1 : 0);
  if (at < 0) return undefined;
  const block = Math.floor(at / perBlock);
  const layer = at % perBlock;
  const start = `${way === 'input' ? 'down' : 'up'}_blocks.${block}`;
  if (way === 'input' && tail === 'op' && inner === '0') return `${start}.downsamplers.0.conv`;
  // Behind the attention where the block has one, in its place where it has none.
  if (way === 'output' && tail === 'conv' && inner !== '0') return `${start}.upsamplers.0.conv`;
  if (inner === '0') return joined(`${start}.resnets.${layer}`, resnetTail(tail));
  return inner === '1' ? joined(`${start}.attentions.${layer}`, transformerTail(tail)) : undefined;
}

/** The path in diffusers of a UNet's module whose path was flattened with underscores, in either spelling. */
export function unetPathOf(flat: string, layersPerBlock = LAYERS_PER_BLOCK): string | undefined {
  const top = Object.entries(TOP_TO_SGM).find(
    ([own, sgm]) => flat === own.replaceAll('.', '_') || flat === sgm.replaceAll('.', '_'),
  );
  return top?.[0] ?? diffusersUnetPath(flat) ?? sgmUnetPath(flat, layersPerBlock);
}

function textPathOf(flat: string): string | undefined {
  if (flat === 'text_projection') return flat;
  // diffusers' own conversion lacks the text_model level under transformers of 2026.
  const match = /^(?:text_model_)?encoder_layers_(\d+)_(?:self_attn_(q|k|v|out)_proj|mlp_(fc[12]))$/.exec(flat);
  if (!match) return undefined;
  const [, layer, projection, feedForward] = match;
  const start = `text_model.encoder.layers.${layer}`;
  return projection === undefined ? `${start}.mlp.${feedForward}` : `${start}.self_attn.${projection}_proj`;
}

/** The internal name of a module in kohya's file; undefined where it is none of a look's. */
export function moduleOfKohyaName(name: string, layersPerBlock = LAYERS_PER_BLOCK): string | undefined {
  const match = /^lora_(unet|te|te1|te2)_(.+)$/.exec(name);
  if (!match) return undefined;
  const [, part, flat] = match as unknown as [string, string, string];
  if (part === 'unet') return joined('unet', unetPathOf(flat, layersPerBlock));
  return joined(part === 'te2' ? 'text_encoder_2' : 'text_encoder', textPathOf(flat));
}
