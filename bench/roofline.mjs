// What a graphics card could not be faster than, by its data sheet alone: reasoning, not measurement.

/** Peak f32 arithmetic without matrix units, and memory bandwidth. */
export const CARDS = {
  'RTX 4070': { flops: 29e12, bytes: 504e9 },
  'H100 SXM': { flops: 67e12, bytes: 3.35e12 },
};

/**
 * Each dispatch takes at least as long as its arithmetic and as its memory traffic, whichever is longer.
 * @param {readonly { flops: number, bytes: number }[]} dispatches @param {{ flops: number, bytes: number }} card
 */
export const rooflineSeconds = (dispatches, card) =>
  dispatches.reduce((sum, { flops, bytes }) => sum + Math.max(flops / card.flops, bytes / card.bytes), 0);

/** @param {number} seconds */
const short = (seconds) =>
  seconds < 1e-3
    ? `${(1e6 * seconds).toFixed(0)} µs`
    : seconds < 1
      ? `${(1e3 * seconds).toFixed(2)} ms`
      : `${seconds.toFixed(2)} s`;

/** @param {readonly { flops: number, bytes: number }[]} dispatches */
export const onPaper = (dispatches) =>
  Object.entries(CARDS)
    .map(([name, card]) => `${short(rooflineSeconds(dispatches, card))} (${name})`)
    .join(', ');
