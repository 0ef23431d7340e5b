export { wavRate } from '../../worker/wav.ts';

/** Steps between two colours of a spectrogram. */
const SHADES = 256;

/** "#rrggbb" as shares of one. */
function shares(colour: string): [number, number, number] {
  const [, red = '0', green = '0', blue = '0'] = /^#(..)(..)(..)$/.exec(colour) ?? [];
  return [parseInt(red, 16) / 255, parseInt(green, 16) / 255, parseInt(blue, 16) / 255];
}

/** Colours of a spectrogram from silent to loud, between two of the theme's. */
export function colourMap(silent: string, loud: string): number[][] {
  const from = shares(silent);
  const to = shares(loud);
  return Array.from({ length: SHADES }, (_, i) => {
    const share = i / (SHADES - 1);
    return [...from.map((value, c) => value + (to[c]! - value) * share), 1];
  });
}
