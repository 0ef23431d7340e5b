import { UserError } from '../../common/errors.ts';

/** Bits a second: music of one or two channels at which Opus is hard to tell from the original. */
const BITRATE = 128_000;

export const compressedName = (stem: string): string => `${stem}.ogg`;

/** A WAV as Ogg Opus, about a tenth of its size; by the browser's own encoder. */
export async function compressed(wav: Blob): Promise<Blob> {
  const { ALL_FORMATS, BlobSource, BufferTarget, canEncodeAudio, Conversion, Input, OggOutputFormat, Output } =
    await import('mediabunny');
  if (!(await canEncodeAudio('opus'))) {
    throw new UserError('This browser has no encoder for Opus. Save it as WAV; any music program makes it smaller.');
  }
  const target = new BufferTarget();
  const conversion = await Conversion.init({
    input: new Input({ source: new BlobSource(wav), formats: ALL_FORMATS }),
    output: new Output({ format: new OggOutputFormat(), target }),
    audio: { codec: 'opus', bitrate: BITRATE },
  });
  await conversion.execute();
  if (!target.buffer) throw new Error('the encoder gave nothing');
  return new Blob([target.buffer], { type: 'audio/ogg' });
}
