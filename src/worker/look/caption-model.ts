import type { CaptionModel } from '../../datasets/look/captions.ts';
import type { Pixels } from '../../datasets/look/types.ts';
import { onnxModel, type OnnxModelSource } from '../onnx-model.ts';

/** Opens a model that says what a picture shows. The library is loaded here, and only here. */
export async function openCaptions(
  source: OnnxModelSource,
  onProgress: (fraction: number) => void,
): Promise<CaptionModel> {
  const { openCaptioner } = await import('../../datasets/look/captioner.ts');
  return openCaptioner(await onnxModel(source, onProgress));
}

/** The pixels of a picture file. */
export async function pixelsOf(file: Blob): Promise<Pixels> {
  const bitmap = await createImageBitmap(file);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { width, height, data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { width, height, data: data as Pixels['data'] };
}
