// The keys under which the decoders look for what a page of a file holds; see package.json.
export const codecFrames = Symbol('codecFrames');
export const data = Symbol('data');
export const header = Symbol('header');
export const isLastPage = Symbol('isLastPage');
export const totalSamples = Symbol('totalSamples');
export const vorbisComments = Symbol('vorbisComments');
export const vorbisSetup = Symbol('vorbisSetup');

const refuse = () => {
  throw new Error('Files are taken apart by mediabunny; only packets are decoded here.');
};

/** Made by the decoders before they know that they are only handed packets. */
export default class CodecParser {
  parseChunk = refuse;
  parseAll = refuse;
  flush = refuse;
}
