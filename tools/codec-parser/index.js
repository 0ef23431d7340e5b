// The keys under which the decoders look for what a page of a file holds; see package.json. They are the same where a tool loads
// this module twice.
export const codecFrames = Symbol.for('codec-parser codecFrames');
export const data = Symbol.for('codec-parser data');
export const header = Symbol.for('codec-parser header');
export const isLastPage = Symbol.for('codec-parser isLastPage');
export const totalSamples = Symbol.for('codec-parser totalSamples');
export const vorbisComments = Symbol.for('codec-parser vorbisComments');
export const vorbisSetup = Symbol.for('codec-parser vorbisSetup');

const refuse = () => {
  throw new Error('Files are taken apart by mediabunny; only packets are decoded here.');
};

/** Made by the decoders before they know that they are only handed packets. */
export default class CodecParser {
  parseChunk = refuse;
  parseAll = refuse;
  flush = refuse;
}
