/** What is heard in a clip, by a model that compares sounds with words (CLAP), through transformers.js. */
import type { ZeroShotAudioClassificationPipeline } from '@huggingface/transformers';
import { UserError } from '../../common/errors.ts';
import { checkOnnxFolder, openOnnxModel } from '../transformers-js.ts';
import type { OnnxModelOptions } from '../transformers-js.ts';

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

export interface SoundTagger {
  /** Hertz of what it is given. */
  readonly sampleRate: number;
  /** How well each of some words, put into the sentence's {}, fits one channel of samples at `sampleRate`. */
  scores(mono: Float32Array, words: readonly string[], sentence: string): Promise<WordScores>;
  /** Tags of one channel of samples at `sampleRate`, group by group, best first; empty where nothing stands out. */
  tags(mono: Float32Array): Promise<string[]>;
  close(): Promise<void>;
}

const CHOOSE = 'Choose a CLAP model in the form for transformers.js, such as Xenova/clap-htsat-unfused.';

/** What preprocessor_config.json says of how a CLAP model hears. */
interface Hearing {
  feature_extractor_type: string;
  sampling_rate: number;
  /** Samples that it hears at a time. */
  nb_max_samples: number;
  truncation: string;
  /** Shorter sounds are heard over again: `repeatpad` as often as they fit whole, `repeat` to the end, `pad` not at all. */
  padding: string;
}

/** How an opened model hears; where it cannot be asked, why, in words. */
function hearingOf(run: ZeroShotAudioClassificationPipeline): Hearing | string {
  const { processor } = run as Partial<typeof run>;
  const config = processor?.feature_extractor?.config as Partial<Hearing> | undefined;
  if (config?.feature_extractor_type !== 'ClapFeatureExtractor' || !config.nb_max_samples) {
    return 'is none that hears what is in a sound';
  }
  if (config.truncation === 'fusion')
    return 'hears several parts of a sound at once (fusion), which cannot be done here';
  return config as Hearing;
}

/**
 * As many samples as the model hears: of longer sounds the middle, of shorter ones as its own padding makes them. The library
 * would cut longer ones at a place of chance, so that the same clip were told something else each time, and leave silent the
 * last repetition of those that fit a whole number of times.
 */
function heardOf(mono: Float32Array, { nb_max_samples: length, padding }: Hearing): Float32Array {
  const start = Math.max(0, Math.floor((mono.length - length) / 2));
  const part = mono.subarray(start, start + length);
  const heard = new Float32Array(length);
  const times = part.length === 0 ? 0 : length / part.length;
  const copies = padding === 'repeat' ? times : padding === 'pad' ? Math.min(1, times) : Math.floor(times);
  for (let i = 0; i < copies; i++) heard.set(part.subarray(0, length - i * part.length), i * part.length);
  return heard;
}

/**
 * Opens a model that hears what is in a sound. One at a time: the library's settings are one for the whole worker.
 * @throws UserError where the folder holds no such model, or it cannot be fetched or run.
 */
export async function openTagger(options: OnnxModelOptions): Promise<SoundTagger> {
  const { model } = options;
  if ('folder' in model) checkOnnxFolder(model.folder, 'hears what is in a sound', CHOOSE);
  const { pipeline: run } = await openOnnxModel<ZeroShotAudioClassificationPipeline>(
    options,
    ({ pipeline }, name, how) => pipeline('zero-shot-audio-classification', name, how),
  );
  const hearing = hearingOf(run);
  if (typeof hearing === 'string') {
    await run.dispose();
    throw new UserError(`The model ${'hub' in model ? model.hub : 'in this folder'} ${hearing}. ${CHOOSE}`);
  }
  const fit = async (heard: Float32Array, words: readonly string[], sentence: string): Promise<WordScores> =>
    (await run(heard, [...words], { hypothesis_template: sentence })) as WordScores;
  return {
    sampleRate: hearing.sampling_rate,
    scores: (mono, words, sentence) => fit(heardOf(mono, hearing), words, sentence),
    async tags(mono) {
      const heard = heardOf(mono, hearing);
      const tags: string[] = [];
      for (const { words, sentence, most } of TAG_GROUPS) {
        tags.push(...pickTags(await fit(heard, words, sentence), most));
      }
      return tags;
    },
    async close() {
      await run.dispose();
    },
  };
}
