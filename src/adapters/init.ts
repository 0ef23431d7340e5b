import type { LoraConfig, LoraTarget } from './config.ts';
import type { LoraTensors } from './peft.ts';
/** A and B as PEFT starts them (magnitude is the caller's: it needs the weights). Depends on seed, names and shapes alone. */
export declare function initLora(
  targets: readonly LoraTarget[],
  config: Pick<LoraConfig, 'init_lora_weights'>,
  seed: number,
): Map<string, LoraTensors>;
