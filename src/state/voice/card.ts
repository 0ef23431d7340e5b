import type { ProjectRecord, RunRecord } from '../../storage/records.ts';
import { adapterLine, plain, quoted, settingsTable, stepsLine } from '../card-text.ts';
import { formatCount } from '../format.ts';

export interface CardFacts {
  project: ProjectRecord;
  run: RunRecord;
  step: number;
  rowCount: number;
  characters: number;
  baseName: string;
  /** Trained on the base that comes with the page. */
  embedded: boolean;
}

const SHOWN = [
  'learning_rate',
  'lr_scheduler_type',
  'per_device_train_batch_size',
  'gradient_accumulation_steps',
  'max_length',
  'packing',
  'weight_decay',
  'max_grad_norm',
  'seed',
] as const;

/** README.md of the exported folder: what the adapter is, what it was made from, and how it is loaded. */
export function modelCard(facts: CardFacts): string {
  const { project, run, step } = facts;
  const lines = [
    '---',
    `base_model: ${quoted(facts.embedded ? 'athanor-small-voice' : facts.baseName)}`,
    'library_name: peft',
    'tags:',
    '- lora',
    '---',
    '',
    `# ${plain(project.name)}`,
    '',
    ...(project.ask.wish.trim() === '' ? [] : [plain(project.ask.wish), '']),
    adapterLine(run, facts.baseName),
    '',
    '## Loading',
    '',
    '```python',
    ...loadingCode(facts.embedded ? 'path/to/the/base' : facts.baseName),
    '```',
    '',
    '## Training',
    '',
    `- Data: ${formatCount(facts.rowCount)} rows, ${formatCount(facts.characters)} characters.`,
    stepsLine(run, step),
    '',
    ...settingsTable(run.recipe, SHOWN),
    '',
    '## Limits',
    '',
    'The adapter speaks like its examples and knows no more than its base and they do. What it says may be wrong.',
    ...(project.realPerson
      ? [
          '',
          'It imitates the way of speaking of a real person. Use it only with their consent, say openly that a model speaks, and do not pass it off as them.',
        ]
      : []),
    '',
  ];
  return lines.join('\n');
}

/** The lines that load an adapter with transformers and peft. */
export function loadingCode(base: string): string[] {
  return [
    'from transformers import AutoModelForCausalLM, AutoTokenizer',
    'from peft import PeftModel',
    '',
    `base = AutoModelForCausalLM.from_pretrained(${JSON.stringify(base)})`,
    `tokenizer = AutoTokenizer.from_pretrained(${JSON.stringify(base)})`,
    'model = PeftModel.from_pretrained(base, "path/to/this/folder")',
  ];
}
