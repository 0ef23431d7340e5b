export declare const codecFrames: unique symbol;
export declare const data: unique symbol;
export declare const header: unique symbol;
export declare const isLastPage: unique symbol;
export declare const totalSamples: unique symbol;
export declare const vorbisComments: unique symbol;
export declare const vorbisSetup: unique symbol;

/** A page of an Ogg file, as far as the decoder of Vorbis looks at one. */
export interface OggPage {
  [data]: Uint8Array;
  [codecFrames]: { [data]: Uint8Array; [header]: { [vorbisSetup]: Uint8Array } }[];
}
