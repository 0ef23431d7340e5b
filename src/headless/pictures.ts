/** Decoding of pictures in Node, by sharp (libvips), in place of the browser's own codecs. */
import sharp from 'sharp';
import { reducedSize } from '../datasets/pictures/resample.ts';
import { MOST_PIXELS, turnedSize } from '../datasets/pictures/sniff.ts';
import type { PictureDecoder } from '../datasets/pictures/types.ts';

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
    return { width: out.width, height: out.height, data: new Uint8Array(data) };
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
