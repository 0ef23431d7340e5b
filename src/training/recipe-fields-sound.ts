import type { RecipeField } from './recipe-fields.ts';

const SOUND = ['sound'] as const;

/** Settings of a sound alone. Defaults suit 5 to 60 minutes of music. */
export const SOUND_FIELDS: readonly RecipeField[] = [
  {
    name: 'max_duration_in_seconds',
    tasks: SOUND,
    type: 'number',
    default: 30,
    min: 0.1,
    max: 30,
    step: 1,
    label: 'Longest stretch',
    term: 'Crop in seconds',
    group: 'basic',
    help: 'A longer clip is cut to a stretch of so many seconds. 30 is what MusicGen knows; 10 to 15 train two to three times faster in less memory, and still carry rhythm and sound, but not how a piece unfolds.',
  },
  {
    name: 'random_crop',
    tasks: SOUND,
    type: 'boolean',
    default: true,
    label: 'Cut at another place each time',
    term: 'Random offset',
    group: 'more',
    help: 'Clips longer than the longest stretch are cut at another place whenever they come up, so that all of the music is heard. Off: always their beginning.',
  },
  {
    name: 'sample_duration_in_seconds',
    tasks: SOUND,
    type: 'number',
    default: 8,
    min: 0.5,
    max: 30,
    step: 0.5,
    label: 'Length of a sample',
    term: 'Sample in seconds',
    group: 'more',
    help: 'How long the samples along the way are. 8 seconds are enough to judge; making them takes about as long as training a few steps.',
  },
];
