import type { LoraConfig } from './lora-config.ts';
import type { LoraTensors } from './peft.ts';
import { RandomStream } from '../common/random.ts';
import { kernelArea } from './targets.ts';
import type { LoraTarget } from './targets.ts';

/**
 * A and B as PEFT starts them: B zero, of an embedding A zero and B normal; A uniform in ±1/√in (kaiming_uniform with a = √5, as in a fresh nn.Linear; a
 * convolution's in counts the pixels of its kernel), or,
 * for "gaussian", normal with standard deviation 1 / r. The numbers depend on the seed, the module's name and the
 * position alone (Philox, see random.ts), not on the machine or on which other modules there are. DoRA's magnitude
 * needs the weights and is the caller's.
 */
export function initLora(
  targets: readonly LoraTarget[],
  { init_lora_weights: init }: Pick<LoraConfig, 'init_lora_weights'>,
  seed: number,
): Map<string, LoraTensors> {
  return new Map(
    targets.map(({ name, r, inFeatures, outFeatures, kernel, embedding }): [string, LoraTensors] => {
      if (embedding) {
        const random = new RandomStream(seed, `${name}.lora_embedding_B`);
        const B = Float32Array.from({ length: outFeatures * r }, () => random.normal());
        return [name, { A: new Float32Array(r * inFeatures), B, r, inFeatures, outFeatures, embedding }];
      }
      const random = new RandomStream(seed, `${name}.lora_A`);
      const fanIn = inFeatures * kernelArea({ kernel });
      const bound = 1 / Math.sqrt(fanIn);
      const draw = init === 'gaussian' ? () => random.normal() / r : () => bound * (2 * random.uniform() - 1);
      const A = new Float32Array(r * fanIn);
      for (let i = 0; i < A.length; i++) A[i] = draw();
      const B = new Float32Array(outFeatures * r);
      return [name, { A, B, r, inFeatures, outFeatures, ...(kernel && { kernel }) }];
    }),
  );
}
