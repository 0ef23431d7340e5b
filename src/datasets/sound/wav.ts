/** RIFF's header of plain PCM. */
export const WAV_HEADER = 44;

/**
 * Samples of one or two channels, each of the same length, -1 to 1, as a WAV of 16 bits. What goes beyond is clipped.
 * Two channels lie side by side, frame by frame.
 */
export function wavBytes(channels: readonly Float32Array[], sampleRate: number): Uint8Array<ArrayBuffer> {
  const [first] = channels;
  if (!first || channels.some(({ length }) => length !== first.length)) {
    throw new Error('a WAV has one channel or more, all of one length');
  }
  const frame = channels.length * 2;
  const bytes = new ArrayBuffer(WAV_HEADER + first.length * frame);
  const view = new DataView(bytes);
  const name = (at: number, text: string): void => {
    for (let i = 0; i < 4; i++) view.setUint8(at + i, text.charCodeAt(i));
  };
  name(0, 'RIFF');
  view.setUint32(4, bytes.byteLength - 8, true);
  name(8, 'WAVE');
  name(12, 'fmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels.length, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * frame, true);
  view.setUint16(32, frame, true);
  view.setUint16(34, 16, true);
  name(36, 'data');
  view.setUint32(40, bytes.byteLength - WAV_HEADER, true);
  channels.forEach((samples, channel) => {
    for (let i = 0; i < samples.length; i++) {
      const sample = Math.max(-1, Math.min(1, samples[i]!));
      view.setInt16(WAV_HEADER + i * frame + channel * 2, Math.min(32767, Math.round(sample * 32768)), true);
    }
  });
  return new Uint8Array(bytes);
}
