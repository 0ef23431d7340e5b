import type { ProjectRecord, RunRecord } from '../../storage/records.ts';
import { adapterLine, plain, quoted, settingsTable, stepsLine } from '../card-text.ts';
import { formatCount } from '../format.ts';

export interface LookCardFacts {
  project: ProjectRecord;
  run: RunRecord;
  step: number;
  pictures: number;
  /** The words that call the look; '' where captions have none. */
  triggerWord: string;
  family: 'sd1' | 'sd2' | 'sdxl';
  baseName: string;
  /** The base's repository on the model hub, such as stable-diffusion-v1-5/stable-diffusion-v1-5, where it is known. */
  repository: string | null;
  /** Trained on the base that comes with the page. */
  embedded: boolean;
  /** Name of kohya's file in the folder, for ComfyUI and A1111; null where there is none. */
  kohyaFile: string | null;
  /** Name of diffusers' file in the folder. */
  diffusersFile: string;
  /** Name of a picture in the folder that shows what it does. */
  preview?: string;
}

const SHOWN = [
  'learning_rate',
  'lr_scheduler_type',
  'per_device_train_batch_size',
  'gradient_accumulation_steps',
  'resolution',
  'train_text_encoder',
  'snr_gamma',
  'noise_offset',
  'random_flip',
  'caption_dropout_rate',
  'with_prior_preservation',
  'prior_loss_weight',
  'weight_decay',
  'max_grad_norm',
  'seed',
] as const;

const PIPELINE = { sd1: 'StableDiffusionPipeline', sd2: 'StableDiffusionPipeline', sdxl: 'StableDiffusionXLPipeline' };

/** Prompt that calls the look. */
function instancePrompt({ triggerWord, project }: LookCardFacts): string {
  return triggerWord.trim() || project.prompts.find((prompt) => prompt.trim() !== '')?.trim() || project.name;
}

/** The lines that draw with diffusers. */
export function drawingCode(
  facts: Pick<LookCardFacts, 'family' | 'repository' | 'diffusersFile'>,
  prompt: string,
): string[] {
  const pipeline = PIPELINE[facts.family];
  return [
    'import torch',
    `from diffusers import ${pipeline}`,
    '',
    `pipe = ${pipeline}.from_pretrained(${quoted(facts.repository ?? 'path/to/the/base')}, torch_dtype=torch.float16).to("cuda")`,
    `pipe.load_lora_weights("path/to/this/folder", weight_name=${quoted(facts.diffusersFile)})`,
    `pipe(${quoted(prompt)}).images[0].save("picture.png")`,
  ];
}

/** README.md of an exported look: what it is, what it was made from, and how ComfyUI, A1111, Forge and diffusers load it. */
export function lookCard(facts: LookCardFacts): string {
  const { project, run, step, pictures } = facts;
  const prompt = instancePrompt(facts);
  const trigger = facts.triggerWord.trim();
  const base = facts.embedded ? 'athanor-small-look' : (facts.repository ?? facts.baseName);
  const lines = [
    '---',
    `base_model: ${quoted(base)}`,
    'library_name: diffusers',
    'pipeline_tag: text-to-image',
    'tags:',
    '- lora',
    facts.family === 'sdxl' ? '- stable-diffusion-xl' : '- stable-diffusion',
    '- text-to-image',
    `instance_prompt: ${quoted(prompt)}`,
    '---',
    '',
    `# ${plain(project.name) || 'A look'}`,
    '',
    ...(project.ask.wish.trim() === '' ? [] : [plain(project.ask.wish), '']),
    ...(facts.preview === undefined ? [] : [`![What it draws](${encodeURI(facts.preview)})`, '']),
    adapterLine(run, facts.baseName),
    '',
    trigger === ''
      ? 'It needs no particular words: it changes whatever is drawn.'
      : `Put **${plain(trigger)}** into the prompt: these words call it.`,
    '',
    ...(facts.embedded
      ? [
          'It was taught on the small base that comes with Athanor, and works there alone: other programs do not have that base.',
          '',
        ]
      : []),
    '## Loading',
    '',
    ...(facts.kohyaFile === null || facts.embedded
      ? []
      : [
          `- ComfyUI: put \`${facts.kohyaFile}\` into \`models/loras\` and add the node “Load LoRA” between the base and the rest.`,
          `- A1111 and Forge: put \`${facts.kohyaFile}\` into \`models/Lora\` and write \`<lora:${facts.kohyaFile.replace(/\.safetensors$/, '')}:1>\` into the prompt; a smaller number is weaker.`,
        ]),
    '- diffusers:',
    '',
    '```python',
    ...drawingCode(facts, prompt),
    '```',
    '',
    '## Training',
    '',
    `- Data: ${formatCount(pictures)} ${pictures === 1 ? 'picture' : 'pictures'}.`,
    stepsLine(run, step),
    '',
    ...settingsTable(run.recipe, SHOWN),
    '',
    '## Limits',
    '',
    'It draws what its pictures show, in the ways that they show it, and what the base draws otherwise may change with it. The licence of the base holds for it too.',
    ...(project.realPerson
      ? [
          '',
          'It draws the likeness of a real person. Use it only with their consent, for what they agreed to; say openly that such a picture was made by a model, and never pass it off as a photo of them.',
        ]
      : []),
    '',
  ];
  return lines.join('\n');
}
