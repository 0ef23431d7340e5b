import type { Task } from '../common/task.ts';

/** What the page calls the things of each task. */
export interface TaskWords {
  /** One thing that is learnt from. */
  one: string;
  /** A project without any. */
  needs: string;
  /** The way to them. */
  gather: string;
  /** What a step sees, for counts and speeds. */
  seen: string;
  perSecond: string;
  /** What one does on Try. */
  tries: string;
  tryIt: string;
  /** What makes a run smaller, under Train. */
  smaller: string;
  /** What the defaults suit. */
  suits: string;
  /** What is made ready before the first step. */
  prepares: string;
  /** What is held out. */
  heldOut: string;
}

export const TASK_WORDS: Readonly<Record<Task, TaskWords>> = {
  voice: {
    one: 'row',
    needs: 'Needs data',
    gather: 'Gather the data',
    seen: 'Tokens',
    perSecond: 'tokens/s',
    tries: 'listen',
    tryIt: 'Listen to it',
    smaller: 'shorten “max length”',
    suits: 'most sets',
    prepares: 'the words become tokens',
    heldOut: 'examples',
  },
  look: {
    one: 'picture',
    needs: 'Needs pictures',
    gather: 'Gather the pictures',
    seen: 'Pictures',
    perSecond: 'pictures/s',
    tries: 'look',
    tryIt: 'Look at it',
    smaller: 'smaller pictures',
    suits: 'ten to forty photos of one subject',
    prepares: 'the pictures are read',
    heldOut: 'pictures',
  },
  sound: {
    one: 'clip',
    needs: 'Needs music',
    gather: 'Gather the music',
    seen: 'Clips',
    perSecond: 'clips/s',
    tries: 'listen',
    tryIt: 'Listen to it',
    smaller: 'a shorter “longest stretch”',
    suits: 'five minutes to an hour of music',
    prepares: 'the clips are read',
    heldOut: 'clips',
  },
};
