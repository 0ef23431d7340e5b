import { parseLoraConfig } from '../src/adapters/lora-config.ts';
import { readPeftFolder } from '../src/adapters/peft.ts';
import { AdapterBuffers } from '../src/engine/adapter-buffers.ts';
import { Device } from '../src/engine/device.ts';
import { MemoryFolder } from '../src/models/files/folder.ts';
import type { TensorData } from '../src/models/files/safetensors.ts';
import { writeSafetensors } from '../src/models/files/safetensors.ts';
import { VoiceBase } from '../src/tasks/voice/base.ts';
import { readPreparedBatch, stepBatches } from '../src/tasks/voice/examples.ts';
import type { RunPlan } from '../src/training/run-plan.ts';
import { planTraining } from '../src/tasks/voice/plan.ts';
import { parseRecipe } from '../src/training/recipe.ts';
import { Trainer } from '../src/training/trainer.ts';
import { ADAMW, LORA_ALPHA, RANK, RMS_NORM_EPS, ROPE_THETA } from './work.ts';
import type { Matrix, Side, Work } from './work.ts';

const json = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value));

const tensors = (from: ReadonlyMap<string, Matrix>): TensorData[] =>
  [...from].map(([name, { shape, data }]) => ({ name, dtype: 'F32', shape, data }));

const LORA = {
  peft_type: 'LORA',
  r: RANK,
  lora_alpha: LORA_ALPHA,
  target_modules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
};

const RECIPE = {
  max_steps: 1_000_000,
  per_device_train_batch_size: 1,
  gradient_accumulation_steps: 1,
  learning_rate: ADAMW.learningRate,
  lr_scheduler_type: 'constant',
  warmup_ratio: 0,
  weight_decay: ADAMW.weightDecay,
  adam_beta1: ADAMW.beta1,
  adam_beta2: ADAMW.beta2,
  adam_epsilon: ADAMW.epsilon,
  max_grad_norm: 0,
  shuffle: false,
  eval_share: 0,
  save_steps: 0,
  sample_steps: 0,
};

/** The work as the files that the page would be given. */
function folders({ shape, weights, adapter, tokens }: Work): {
  base: MemoryFolder;
  lora: MemoryFolder;
  data: MemoryFolder;
} {
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: shape.vocabSize,
    hidden_size: shape.hiddenSize,
    intermediate_size: shape.intermediateSize,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    max_position_embeddings: 2048,
    rms_norm_eps: RMS_NORM_EPS,
    rope_theta: ROPE_THETA,
    tie_word_embeddings: shape.tieWordEmbeddings,
    hidden_act: 'silu',
  };
  const row = { dtype: 'I64', shape: [1, shape.tokens] } as const;
  const batch = writeSafetensors([
    { name: 'input_ids', ...row, data: tokens },
    { name: 'labels', ...row, data: tokens },
    { name: 'attention_mask', ...row, data: new Int32Array(shape.tokens).fill(1) },
  ]);
  return {
    base: new MemoryFolder(
      'benchmark',
      new Map([
        ['config.json', json(config)],
        ['model.safetensors', writeSafetensors(tensors(weights))],
      ]),
    ),
    lora: new MemoryFolder(
      'adapter',
      new Map([
        ['adapter_config.json', json(LORA)],
        ['adapter_model.safetensors', writeSafetensors(tensors(adapter))],
      ]),
    ),
    data: new MemoryFolder('data', new Map([['batch.safetensors', batch]])),
  };
}

/** Our side, through the same tasks and training code as the page. The first step plans, compiles and runs. */
export async function createOurStep(work: Work): Promise<Side> {
  const device = await Device.open(navigator.gpu);
  const { base: folder, lora, data } = folders(work);
  const base = await VoiceBase.load(device, folder, { precision: 'stored' });
  const recipe = parseRecipe(RECIPE);
  let training: { trainer: Trainer; plan: RunPlan } | undefined;
  const examples = await readPreparedBatch(data, 'batch.safetensors', work.shape.vocabSize);

  async function build(): Promise<{ trainer: Trainer; plan: RunPlan }> {
    const adapter = await readPeftFolder(lora);
    const config = parseLoraConfig(LORA);
    const layout = base.layout(base.targets(config), config, true);
    const plan = planTraining(base, layout, recipe, examples);
    const buffers = await AdapterBuffers.create(device, layout.flat, true);
    buffers.write('parameters', layout.pack(adapter.tensors));
    const options = { recipe, totalSteps: plan.report.totalSteps };
    return { trainer: await Trainer.build(device, plan, { weights: base, adapter: buffers }, options), plan };
  }

  return {
    device: device.gpu,
    async step() {
      training ??= await build();
      const { trainer } = training;
      return (await trainer.submit(stepBatches(examples, recipe, trainer.step))).loss;
    },
    stats: () =>
      training
        ? { plannedBytes: training.plan.report.totalBytes, encodeSeconds: training.trainer.encodeMilliseconds / 1000 }
        : {},
  };
}
