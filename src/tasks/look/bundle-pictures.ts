import { maskFromPixels, maskToPixels, masksAll } from '../../datasets/look/masks.ts';
import { encodePng } from '../../datasets/look/png.ts';
import { byteRaster, resample, rgbRaster } from '../../datasets/look/resample.ts';
import type { Area } from '../../datasets/look/resample.ts';
import type { Crop, Pixels } from '../../datasets/look/types.ts';
import type { BundlePicture } from './bundle.ts';
import type { PictureSource } from './types.ts';

/** A crop in pixels that may be fewer than the picture had. */
function cropIn(pixels: Pixels, row: { width: number; height: number; crop: Crop }): Area {
  const across = pixels.width / row.width;
  const down = pixels.height / row.height;
  const { x, y, width, height } = row.crop;
  return { x: x * across, y: y * down, width: width * across, height: height * down };
}

/**
 * A picture of a data set as it goes into a bundle: its crop as PNG at the size that it has, transparent parts on white; a
 * painted mask cut alike and of the same size, which sd-scripts insists on. A mask without any white is left out:
 * it was not painted yet.
 */
export async function bundlePicture({ row, pixels, mask }: PictureSource): Promise<BundlePicture> {
  const whole = await pixels();
  const area = cropIn(whole, row);
  const [width, height] = [Math.max(1, Math.round(area.width)), Math.max(1, Math.round(area.height))];
  const rgb = resample(rgbRaster(whole), area, width, height);
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) data[4 * i + c] = rgb[3 * i + c]!;
    data[4 * i + 3] = 255;
  }
  const picture: BundlePicture = {
    file: row.file,
    bytes: encodePng({ width, height, data }),
    caption: row.caption,
    repeats: row.repeats,
  };
  const painted = row.masked ? await mask() : null;
  const cover = painted && maskFromPixels(painted);
  if (!cover || masksAll(cover)) return picture;
  const grey = resample(byteRaster(cover.width, cover.height, cover.data), cropIn(painted, row), width, height);
  const cut = { width, height, data: new Uint8Array(Uint8ClampedArray.from(grey)) };
  return { ...picture, mask: encodePng(maskToPixels(cut)) };
}
