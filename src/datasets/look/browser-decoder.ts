/** The browser's own codecs, in a worker or a page. Pixels of one picture at a time are in memory. */
import { UserError } from '../../common/errors.ts';
import { reducedSize } from './resample.ts';
import { mediaType, turnedSize } from './sniff.ts';
import { turnPixels, withoutWebpExif } from './turn.ts';
import type { PictureDecoder, Pixels } from './types.ts';

function canvasOf(width: number, height: number): [OffscreenCanvas, OffscreenCanvasRenderingContext2D] {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new UserError('This browser gives the page no canvas to read pictures with.');
  return [canvas, context];
}

/** Gives a canvas' memory back at once, not when it is collected. */
function release(canvas: OffscreenCanvas): void {
  canvas.width = 0;
  canvas.height = 0;
}

export const browserDecoder: PictureDecoder = {
  async decode(bytes, info, limit) {
    // Chromium turns every format but WebP. That is turned here, and hidden from browsers that would turn it too.
    const byHand = (info.kind === 'webp' || info.kind === 'animated webp') && info.orientation !== 1;
    const [statedWidth, statedHeight] = byHand ? [info.width, info.height] : turnedSize(info);
    const [width, height] = reducedSize(statedWidth, statedHeight, limit);
    const blob = new Blob([byHand ? withoutWebpExif(bytes) : bytes], { type: mediaType(info.kind) });
    const smaller = width < statedWidth || height < statedHeight;
    // Premultiplied, as a canvas is anyway: the other way costs a copy of the whole picture.
    const bitmap = await createImageBitmap(blob, {
      imageOrientation: 'from-image',
      ...(smaller && { resizeWidth: width, resizeHeight: height, resizeQuality: 'high' as const }),
    });
    const [canvas, context] = canvasOf(bitmap.width, bitmap.height);
    try {
      context.drawImage(bitmap, 0, 0);
      bitmap.close();
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      const pixels: Pixels = { width: canvas.width, height: canvas.height, data: data as Pixels['data'] };
      return byHand ? turnPixels(pixels, info.orientation) : pixels;
    } finally {
      bitmap.close();
      release(canvas);
    }
  },

  async encode({ width, height, data }, format) {
    const [canvas, context] = canvasOf(width, height);
    try {
      const clamped =
        data instanceof Uint8ClampedArray ? data : new Uint8ClampedArray(data.buffer, data.byteOffset, data.length);
      context.putImageData(new ImageData(clamped, width, height), 0, 0);
      if (format === 'jpeg') {
        context.globalCompositeOperation = 'destination-over';
        context.fillStyle = '#ffffff';
        context.fillRect(0, 0, width, height);
      }
      const blob = await canvas.convertToBlob({ type: `image/${format}`, quality: 0.95 });
      return new Uint8Array(await blob.arrayBuffer());
    } finally {
      release(canvas);
    }
  },
};
