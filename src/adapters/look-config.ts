import { parseLoraConfig } from './lora-config.ts';
import type { LoraConfig } from './lora-config.ts';
import type { Adapter, LoraTensors } from './peft.ts';

/** The value that occurs most often, of several the first. */
function mostCommon(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
}

export interface ScaledTensors {
  tensors: LoraTensors;
  /** The change is alpha / r · B A. */
  alpha: number;
}

/** Rank and alpha that most modules have, and by name those of the others; names as they stand in `modules`. */
export function rankAndAlpha(
  modules: ReadonlyMap<string, { r: number; alpha: number }>,
): Pick<LoraConfig, 'r' | 'lora_alpha' | 'rank_pattern' | 'alpha_pattern'> {
  const all = [...modules];
  const r = mostCommon(all.map(([, module]) => module.r));
  const lora_alpha = mostCommon(all.map(([, module]) => module.alpha));
  const others = (value: (module: { r: number; alpha: number }) => number, common: number): Record<string, number> =>
    Object.fromEntries(all.flatMap(([name, module]) => (value(module) === common ? [] : [[name, value(module)]])));
  return {
    r,
    lora_alpha,
    rank_pattern: others((module) => module.r, r),
    alpha_pattern: others((module) => module.alpha, lora_alpha),
  };
}

/**
 * An adapter of modules that each have a rank and an alpha of their own. All are named in full in target_modules, so that
 * no other layer of a base is meant; rsLoRA is folded into the alphas. Throws UserError for a rank or alpha out of range.
 */
export function adapterOf(
  modules: ReadonlyMap<string, ScaledTensors>,
  source: string,
  extra: Partial<Pick<LoraConfig, 'base_model_name_or_path' | 'lora_dropout'>> = {},
): Adapter {
  const sizes = new Map([...modules].map(([name, { tensors, alpha }]) => [name, { r: tensors.r, alpha }]));
  const first = modules.values().next().value;
  const config = parseLoraConfig(
    {
      ...rankAndAlpha(sizes),
      target_modules: [...modules.keys()],
      use_dora: first?.tensors.magnitude !== undefined,
      ...extra,
    },
    source,
    { trained: true },
  );
  return { config, tensors: new Map([...modules].map(([name, { tensors }]) => [name, tensors])) };
}
