import type { ProjectRecord, RunRecord } from '../../storage/records.ts';
import { adapterLine, plain, quoted, settingsTable, stepsLine } from '../card-text.ts';
import { formatDuration, plural } from '../format.ts';

export interface SoundCardFacts {
  project: ProjectRecord;
  run: RunRecord;
  step: number;
  clips: number;
  /** Seconds of music. */
  seconds: number;
  /** The word that calls the sound; '' where words have none. */
  triggerWord: string;
  baseName: string;
  /** Trained on the base that comes with the page. */
  embedded: boolean;
  /** Name of a sound in the folder that lets it be heard. */
  sample?: string;
}

const SHOWN = [
  'learning_rate',
  'lr_scheduler_type',
  'per_device_train_batch_size',
  'gradient_accumulation_steps',
  'max_duration_in_seconds',
  'random_crop',
  'caption_dropout_rate',
  'weight_decay',
  'max_grad_norm',
  'seed',
] as const;

/** A prompt that lets the sound be heard. */
export function soundPrompt({ project, triggerWord }: Pick<SoundCardFacts, 'project' | 'triggerWord'>): string {
  return project.prompts.find((prompt) => prompt.trim() !== '')?.trim() ?? (triggerWord.trim() || project.name);
}

/** The lines that compose with transformers and peft; how long and how close to the words, the base's generation_config says. */
export function composingCode(base: string, prompt: string): string[] {
  return [
    'import soundfile',
    'from peft import PeftModel',
    'from transformers import AutoProcessor, MusicgenForConditionalGeneration',
    '',
    `base = ${quoted(base)}`,
    'processor = AutoProcessor.from_pretrained(base)',
    'model = MusicgenForConditionalGeneration.from_pretrained(base)',
    'model = PeftModel.from_pretrained(model, "path/to/this/folder")',
    `inputs = processor(text=[${quoted(prompt)}], padding=True, return_tensors="pt")`,
    'sound = model.generate(**inputs, do_sample=True)',
    'soundfile.write("sound.wav", sound[0].T.numpy(), model.config.audio_encoder.sampling_rate)',
  ];
}

/** README.md of an exported sound: what it is, what it was made from, and how it is loaded. */
export function soundCard(facts: SoundCardFacts): string {
  const { project, run, step, clips, seconds } = facts;
  const prompt = soundPrompt(facts);
  const trigger = facts.triggerWord.trim();
  const lines = [
    '---',
    `base_model: ${quoted(facts.embedded ? 'athanor-small-sound' : facts.baseName)}`,
    'library_name: peft',
    'pipeline_tag: text-to-audio',
    'tags:',
    '- lora',
    '- musicgen',
    '- text-to-audio',
    '---',
    '',
    `# ${plain(project.name) || 'A sound'}`,
    '',
    ...(project.ask.wish.trim() === '' ? [] : [plain(project.ask.wish), '']),
    ...(facts.sample === undefined ? [] : [`[Hear it](${encodeURI(facts.sample)})`, '']),
    adapterLine(run, facts.baseName),
    '',
    ...(trigger === '' ? [] : [`Put **${plain(trigger)}** into the prompt: this word calls it.`, '']),
    ...(facts.embedded
      ? [
          'It was taught on the small base that comes with Athanor, and works there alone: other programs do not have that base.',
          '',
        ]
      : []),
    '## Loading',
    '',
    'With `pip install transformers peft soundfile`; audiocraft’s own program does not read it.',
    '',
    '```python',
    ...composingCode(facts.embedded ? 'path/to/the/base' : facts.baseName, prompt),
    '```',
    '',
    '## Training',
    '',
    `- Data: ${formatDuration(seconds)} of music in ${plural(clips, 'clip')}.`,
    stepsLine(run, step),
    '',
    ...settingsTable(run.recipe, SHOWN),
    '',
    '## Limits',
    '',
    'It plays in the manner of its clips and does not sing. What the base plays otherwise may change with it. The licence of the base holds for it too.',
    ...(project.realPerson
      ? [
          '',
          'It was taught on music that somebody else made. Use it only with their consent or where the law allows it, say openly that a model made what it composes, and do not pass it off as theirs.',
        ]
      : []),
    '',
  ];
  return lines.join('\n');
}
