import { UserError } from '../common/errors.ts';
import { quoteValue } from '../common/json.ts';
import type { SafetensorsHeader, TensorEntry } from '../models/files/safetensors.ts';

/**
 * The files of the first LoRA trainer for Stable Diffusion (cloneofsimo/lora): unet:0:down, unet:0:up, … in the order in
 * which diffusers of late 2022 made its modules: down blocks, up blocks, then the middle; in a transformer block attn1, the
 * feed-forward's first layer, attn2. Alpha is the rank.
 */
const ATTENTIONS = [
  ...[0, 1, 2].flatMap((block) => [0, 1].map((layer) => `down_blocks.${block}.attentions.${layer}`)),
  ...[1, 2, 3].flatMap((block) => [0, 1, 2].map((layer) => `up_blocks.${block}.attentions.${layer}`)),
  'mid_block.attentions.0',
];
const ATTENTION = ['to_q', 'to_k', 'to_v', 'to_out.0'];
const TEXT_ATTENTION = ['k_proj', 'v_proj', 'q_proj', 'out_proj'];

/** The classes that a component's adapters lie in, from the metadata. */
function classes(header: SafetensorsHeader, component: string, source: string): string[] {
  const text = header.metadata[component];
  try {
    const list: unknown = text === undefined ? [] : JSON.parse(text);
    if (Array.isArray(list)) return list.map(String);
  } catch {
    // Named below.
  }
  throw new UserError(
    `${source} names the adapted classes of its ${component} as ${quoteValue(text)}, which is no list.`,
  );
}

export function isCloneofsimo(header: SafetensorsHeader): boolean {
  return header.tensors.has('unet:0:down') || header.tensors.has('text_encoder:0:down');
}

function unetModules(count: number, adapted: readonly string[], source: string): string[] {
  const withFeedForward = adapted.includes('GEGLU');
  const unknown = adapted.find((name) => !['CrossAttention', 'Attention', 'GEGLU'].includes(name));
  const inside = withFeedForward
    ? [...ATTENTION.map((to) => `attn1.${to}`), 'ff.net.0.proj', ...ATTENTION.map((to) => `attn2.${to}`)]
    : ['attn1', 'attn2'].flatMap((attention) => ATTENTION.map((to) => `${attention}.${to}`));
  const modules = ATTENTIONS.flatMap((attention) => inside.map((tail) => `${attention}.transformer_blocks.0.${tail}`));
  if (unknown === undefined && modules.length === count) return modules.map((path) => `unet.${path}`);
  throw new UserError(
    `${source} numbers its layers without naming them, and its ${count} layers in ${adapted.join(', ')} are not those of Stable Diffusion 1 or 2 (${modules.length}), so they cannot be told apart. Convert it to kohya's format with the tool that made it.`,
  );
}

function textModules(count: number, adapted: readonly string[], source: string): string[] {
  if (count % 4 === 0 && adapted.every((name) => name === 'CLIPAttention')) {
    return Array.from({ length: count / 4 }, (_, layer) =>
      TEXT_ATTENTION.map((projection) => `text_encoder.text_model.encoder.layers.${layer}.self_attn.${projection}`),
    ).flat();
  }
  throw new UserError(
    `${source} numbers its layers without naming them, and its ${count} layers in ${adapted.join(', ')} of the text encoder cannot be told apart. Convert it to kohya's format with the tool that made it.`,
  );
}

export interface NumberedLora {
  modules: Map<string, { A: TensorEntry; B: TensorEntry }>;
  /** Words that were trained beside the layers. */
  words: string[];
}

/** Throws UserError where the numbers do not fit the layers of Stable Diffusion 1 or 2. */
export function cloneofsimoModules(header: SafetensorsHeader, source: string): NumberedLora {
  const modules: NumberedLora['modules'] = new Map();
  const used = new Set<string>();
  for (const component of ['unet', 'text_encoder'] as const) {
    const count = [...header.tensors.keys()].filter((name) => name.startsWith(`${component}:`)).length / 2;
    if (count === 0) continue;
    const adapted = classes(header, component, source);
    const names = (component === 'unet' ? unetModules : textModules)(count, adapted, source);
    names.forEach((module, i) => {
      const [A, B] = ['down', 'up'].map((part) => {
        const name = `${component}:${i}:${part}`;
        const entry = header.tensors.get(name);
        if (!entry) throw new UserError(`${source} lacks the tensor ${name}.`);
        used.add(name);
        return entry;
      }) as [TensorEntry, TensorEntry];
      modules.set(module, { A, B });
    });
  }
  const rest = [...header.tensors.keys()].filter((name) => !used.has(name));
  const words = rest.filter((name) => header.metadata[name] === '<embed>');
  const unknown = rest.find((name) => !words.includes(name));
  if (unknown !== undefined)
    throw new UserError(`${source} holds the tensor ${quoteValue(unknown)}, which is no part of a LoRA.`);
  return { modules, words };
}
