import { WAV_HEADER, wavBytes } from '../datasets/sound/wav.ts';

/** As wavBytes. */
export const encodeWav = (channels: readonly Float32Array[], sampleRate: number): Blob =>
  new Blob([wavBytes(channels, sampleRate)], { type: 'audio/wav' });

/** Samples a second of a WAV. */
export async function wavRate(wav: Blob): Promise<number> {
  return new DataView(await wav.slice(0, WAV_HEADER).arrayBuffer()).getUint32(24, true);
}
