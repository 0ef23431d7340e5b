/** The worker of tests/app/pictures.test.ts: what the data worker does with pictures, asked from outside. */
import { browserDecoder } from '../../src/datasets/look/browser-decoder.ts';
import { importPictures } from '../../src/datasets/look/import-pictures.ts';
import { sniffPicture } from '../../src/datasets/look/sniff.ts';
import { toTensor } from '../../src/datasets/look/to-tensor.ts';
import type { Crop, Pixels } from '../../src/datasets/look/types.ts';
import type { SourceFile } from '../../src/datasets/source-file.ts';

const read = async (address: string): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await (await fetch(address)).arrayBuffer());

const hex = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');

const colourAt = ({ width, height, data }: Pixels, x: number, y: number): number[] => {
  const at = 4 * (Math.floor(y * height) * width + Math.floor(x * width));
  return [...data.subarray(at, at + 4)];
};

const tasks = {
  /** Size and the colours of the four quarters, of the file and of it encoded anew; or why not. */
  async decode({ address }: { address: string }) {
    const bytes = await read(address);
    const { info, refused } = sniffPicture(bytes);
    if (!info || refused) return { refused: refused!.reason };
    const told = (pixels: Pixels) => ({
      size: [pixels.width, pixels.height],
      quarters: [
        colourAt(pixels, 0.25, 0.25),
        colourAt(pixels, 0.75, 0.25),
        colourAt(pixels, 0.25, 0.75),
        colourAt(pixels, 0.75, 0.75),
      ],
    });
    try {
      const pixels = await browserDecoder.decode(bytes, info, { shortSide: 1536 });
      const again: Record<string, unknown> = {};
      for (const format of ['jpeg', 'png'] as const) {
        const encoded = await browserDecoder.encode(pixels, format);
        const seen = sniffPicture(encoded).info!;
        again[format] = { kind: seen.kind, ...told(await browserDecoder.decode(encoded, seen, { shortSide: 1536 })) };
      }
      return { ...told(pixels), again };
    } catch (error) {
      return { failed: String(error) };
    }
  },

  /** Hash of the tensor of pixels that a rule gives. */
  async tensor({
    width,
    height,
    values,
    crop,
    bucket,
  }: {
    width: number;
    height: number;
    values: number[];
    crop: Crop;
    bucket: [number, number];
  }) {
    const tensor = toTensor({ width, height, data: Uint8ClampedArray.from(values) }, { width, height, crop, bucket });
    return hex(new Uint8Array(tensor.buffer));
  },

  /** Imports one file under many names; a tail after its end makes each another file. */
  async many({ address, count }: { address: string; count: number }) {
    const bytes = await read(address);
    const files = Array.from({ length: count }, (_, i): SourceFile => {
      const file = new Blob([bytes, `${i}`]);
      return { name: `${i}.jpg`, size: file.size, stream: () => file.stream() as ReadableStream<Uint8Array> };
    });
    const start = performance.now();
    let kept = 0;
    const { rows } = await importPictures(files, browserDecoder, {
      buckets: { resolution: 512 },
      keep: (_, { picture, thumbnail }) => {
        kept += picture.length + thumbnail.length;
      },
    });
    return {
      rows: rows.length,
      width: rows[0]!.width,
      height: rows[0]!.height,
      kept,
      seconds: (performance.now() - start) / 1000,
    };
  },

  /** Captions of the pictures at some addresses by the model in a folder. */
  async describe({ files, folder, addresses }: { files: string[]; folder: string; addresses: string[] }) {
    const { openCaptioner } = await import('../../src/datasets/look/captioner.ts');
    const { ortRuntime } = await import('../../src/datasets/ort-runtime.ts');
    const model = { folder: { files, read: (path: string) => read(`${folder}/${path}`) } };
    const captioner = await openCaptioner({ model, runtime: ortRuntime });
    const said: string[] = [];
    for (const address of addresses) {
      const bytes = await read(address);
      said.push(
        await captioner.describe(await browserDecoder.decode(bytes, sniffPicture(bytes).info!, { shortSide: 1536 })),
      );
    }
    await captioner.close();
    return said;
  },
};

export type PictureTasks = typeof tasks;

onmessage = async ({ data: { name, given } }: MessageEvent<{ name: keyof PictureTasks; given: never }>) => {
  try {
    postMessage({ done: await tasks[name](given) });
  } catch (error) {
    postMessage({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
};
