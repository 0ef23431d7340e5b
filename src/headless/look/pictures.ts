/** Pictures in Node: files, and decoding by sharp (libvips) in place of the browser's own codecs. */
import { createReadStream, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import sharp from 'sharp';
import type { SourceFile } from '../../datasets/source-file.ts';
import { reducedSize } from '../../datasets/look/resample.ts';
import { MOST_PIXELS, turnedSize } from '../../datasets/look/sniff.ts';
import type { PictureDecoder } from '../../datasets/look/types.ts';
import { filesUnder } from '../files.ts';

// No picture is decoded twice; kept ones would only take memory.
sharp.cache(false);

export const nodePictureDecoder: PictureDecoder = {
  async decode(bytes, info, limit) {
    const [width, height] = reducedSize(...turnedSize(info), limit);
    const { data, info: out } = await sharp(bytes, { limitInputPixels: MOST_PIXELS, failOn: 'truncated', pages: 1 })
      .autoOrient()
      .resize(width, height, { fit: 'inside', withoutEnlargement: true })
      .toColourspace('srgb')
      .ensureAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (out.channels !== 4) throw new Error(`${out.channels} channels a pixel`);
    return {
      width: out.width,
      height: out.height,
      data: new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.length),
    };
  },

  async encode({ width, height, data }, format) {
    const image = sharp(data, { raw: { width, height, channels: 4 } });
    const file =
      format === 'png'
        ? image.png({ compressionLevel: 9 })
        : image.flatten({ background: '#ffffff' }).jpeg({ quality: 95, chromaSubsampling: '4:4:4' });
    return new Uint8Array(await file.toBuffer());
  },
};

/** Files and folders, as the import of pictures takes them. */
export function pictureSourceFiles(paths: readonly string[]): SourceFile[] {
  return filesUnder(paths).map(({ path, name }) => ({
    name,
    size: statSync(path).size,
    stream: () => Readable.toWeb(createReadStream(path)) as unknown as ReadableStream<Uint8Array>,
  }));
}
