/** PEFT's LoraConfig, as far as it is supported here; names are PEFT's. */
export interface LoraConfig {
  r: number;
  lora_alpha: number;
  /** Names or name endings; or one regular expression for the whole name; or 'all-linear'. */
  target_modules: string[] | string;
  exclude_modules: string[] | string | null;
  lora_dropout: number;
  use_rslora: boolean;
  use_dora: boolean;
  rank_pattern: Record<string, number>;
  alpha_pattern: Record<string, number>;
  layers_to_transform: number[] | number | null;
  layers_pattern: string[] | string | null;
  bias: 'none';
  fan_in_fan_out: false;
  init_lora_weights: boolean | 'gaussian';
  base_model_name_or_path: string | null;
  revision: string | null;
  task_type: string | null;
}
/** A module of the model that LoRA could be asked to adapt; the name is its path inside the transformers class. */
export interface AdaptableModule {
  name: string;
  inFeatures: number;
  outFeatures: number;
  /** output: the classifier head, left out by all-linear. embedding and other (norms) are refused as targets. Default linear. */
  kind?: 'linear' | 'output' | 'embedding' | 'other';
}
export interface LoraTarget {
  name: string;
  inFeatures: number;
  outFeatures: number;
  r: number;
  alpha: number;
  /** alpha / r, or alpha / sqrt(r) with rsLoRA. */
  scale: number;
}
export interface LoraField {
  name: keyof LoraConfig;
  label: string;
  help: string;
  default: LoraConfig[keyof LoraConfig];
}
export declare const LORA_FIELDS: readonly LoraField[];
/** Missing fields take their defaults; UserError names what is wrong or unsupported. `source` says where it was read. */
export declare function parseLoraConfig(value: unknown, source?: string): LoraConfig;
/** The modules PEFT 0.21 would adapt, in the order given; UserError where nothing or something unsupported matches. */
export declare function resolveTargets(config: LoraConfig, modules: readonly AdaptableModule[]): LoraTarget[];
