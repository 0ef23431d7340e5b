/** What can be taught: a chat model's voice, an image model's look, a music model's sound. */
export const TASKS = ['voice', 'look', 'sound'] as const;
export type Task = (typeof TASKS)[number];
