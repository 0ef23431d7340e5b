/** What is heard in a clip, by a model that compares sounds with words (CLAP), through transformers.js. */
import type { ZeroShotAudioClassificationPipeline } from '@huggingface/transformers';
import { UserError } from '../../engine/errors.ts';
import { missingFiles, openOnnxModel } from '../transformers-js.ts';
import type { OnnxFolder, OnnxModelOptions } from '../transformers-js.ts';

/**
 * Words that are offered, a group at a time: of each group those that stand out are taken. They are what the music models
 * were told of songs, and what a person would ask for.
 */
export const TAG_GROUPS: readonly { most: number; sentence: string; words: readonly string[] }[] = [
  {
    most: 1,
    sentence: 'This is {} music.',
    words: [
      'ambient',
      'blues',
      'classical',
      'country',
      'disco',
      'drum and bass',
      'dub',
      'electronic',
      'film',
      'folk',
      'funk',
      'hip hop',
      'house',
      'jazz',
      'latin',
      'lo-fi',
      'metal',
      'pop',
      'punk',
      'reggae',
      'rock',
      'soul',
      'techno',
      'trance',
    ],
  },
  {
    most: 3,
    sentence: 'This is the sound of {}.',
    words: [
      'accordion',
      'acoustic guitar',
      'bass guitar',
      'bells',
      'brass',
      'cello',
      'choir',
      'clarinet',
      'distorted guitar',
      'drum machine',
      'drums',
      'electric guitar',
      'electric piano',
      'flute',
      'hand drums',
      'harp',
      'harpsichord',
      'organ',
      'piano',
      'saxophone',
      'singing',
      'speech',
      'strings',
      'synthesizer',
      'trumpet',
      'violin',
      'whistling',
      'xylophone',
    ],
  },
  {
    most: 2,
    sentence: 'This music is {}.',
    words: [
      'aggressive',
      'calm',
      'cheerful',
      'dark',
      'dreamy',
      'driving',
      'energetic',
      'epic',
      'gentle',
      'melancholic',
      'playful',
      'romantic',
      'sad',
      'solemn',
      'tense',
      'uplifting',
    ],
  },
];

/** Times as likely as by chance that a word must be. */
const STANDS_OUT = 2.5;

/** How well each word fits, together 1. */
export type WordScores = readonly { label: string; score: number }[];

/** Of the words of a group those that stand out, best first. */
export function pickTags(scores: WordScores, most: number): string[] {
  return [...scores]
    .sort((a, b) => b.score - a.score)
    .slice(0, most)
    .filter(({ score }) => score * scores.length >= STANDS_OUT)
    .map(({ label }) => label);
}

/** Seconds that such models hear; of longer clips the middle. */
const HEARD_SECONDS = 10;

export interface SoundTagger {
  /** Hertz of what it is given. */
  readonly sampleRate: number;
  /** Tags of one channel of samples at `sampleRate`, group by group, best first; empty where nothing stands out. */
  tags(mono: Float32Array): Promise<string[]>;
  close(): Promise<void>;
}

const NEEDED = ['config.json', 'tokenizer.json', 'preprocessor_config.json'];

function check(folder: OnnxFolder): void {
  const missing = missingFiles(folder, NEEDED);
  if (missing.length === 0) return;
  throw new UserError(
    `This folder holds no model that hears what is in a sound: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing. Choose a folder of a CLAP model in the form for transformers.js, such as Xenova/clap-htsat-unfused.`,
  );
}

/**
 * Opens a model that hears what is in a sound. One at a time: the library's settings are one for the whole worker.
 * @throws UserError where the folder holds no such model, or it cannot be fetched or run.
 */
export async function openTagger(options: OnnxModelOptions): Promise<SoundTagger> {
  if ('folder' in options.model) check(options.model.folder);
  const { pipeline: run } = await openOnnxModel<ZeroShotAudioClassificationPipeline>(
    options,
    ({ pipeline }, name, how) => pipeline('zero-shot-audio-classification', name, how),
  );
  const extractor = (run.processor as { feature_extractor?: { config?: { sampling_rate?: number } } } | null)
    ?.feature_extractor;
  const sampleRate = extractor?.config?.sampling_rate ?? 48_000;
  return {
    sampleRate,
    async tags(mono) {
      // The library would cut a place by chance; the same clip is to be told the same each time.
      const length = HEARD_SECONDS * sampleRate;
      const start = Math.max(0, Math.floor((mono.length - length) / 2));
      const heard = mono.slice(start, start + length);
      const tags: string[] = [];
      for (const { words, sentence, most } of TAG_GROUPS) {
        const scores = (await run(heard, [...words], { hypothesis_template: sentence })) as WordScores;
        tags.push(...pickTags(scores, most));
      }
      return tags;
    },
    async close() {
      await run.dispose();
    },
  };
}
