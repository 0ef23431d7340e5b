export const LARGEST_SEED = 4294967295;

/** Some seed, as dice would give it. */
export const anySeed = (): number => Math.floor(Math.random() * LARGEST_SEED);
