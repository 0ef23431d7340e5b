import sharp from 'sharp';

export interface TestFile {
  name: string;
  mimeType: string;
  buffer: Buffer;
}

/** A drawing with sharp edges that differs from number to number, as RGB pixels. */
function drawn(number: number, width: number, height: number): Buffer {
  const hue = (number * 67) % 255;
  const x = (((number * 37) % 70) + 15) * (width / 100);
  const y = (((number * 53) % 70) + 15) * (height / 100);
  const shapes = Array.from({ length: 6 }, (_, i) => {
    const at = (number * 29 + i * 41) % 90;
    return `<rect x="${(at * width) / 100}" y="${((at * 7 + i * 31) % 90) * (height / 100)}" width="${width / 9}" height="${height / 12}" fill="rgb(${(i * 40 + hue) % 255},${(hue * 3) % 255},${255 - hue})"/>`;
  }).join('');
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="rgb(${hue},${255 - hue},${(hue * 2) % 255})"/>${shapes}<circle cx="${x}" cy="${y}" r="${Math.min(width, height) / 5}" fill="#111"/><circle cx="${x + 8}" cy="${y}" r="${Math.min(width, height) / 12}" fill="#fff"/></svg>`,
  );
}

/** A JPEG of a size. */
export async function photo(name: string, number: number, width = 800, height = 600): Promise<TestFile> {
  const buffer = await sharp(drawn(number, width, height))
    .jpeg()
    .toBuffer();
  return { name, mimeType: 'image/jpeg', buffer };
}

export async function photos(count: number, width = 800, height = 600): Promise<TestFile[]> {
  const files: TestFile[] = [];
  for (let i = 0; i < count; i++) files.push(await photo(`photo-${i + 1}.jpg`, i, width, height));
  return files;
}

/** Files of the kinds that programs stumble over. */
export async function hostileFiles(): Promise<TestFile[]> {
  const raw = { raw: { width: 1, height: 1, channels: 3 as const } };
  const frames = await Promise.all(
    [1, 2, 3].map((i) =>
      sharp(drawn(i, 640, 640))
        .png()
        .toBuffer(),
    ),
  );
  return [
    { name: 'dot.png', mimeType: 'image/png', buffer: await sharp(Buffer.alloc(3), raw).png().toBuffer() },
    await photo('panorama.jpg', 3, 20_000, 900),
    {
      name: 'print.jpg',
      mimeType: 'image/jpeg',
      buffer: await sharp(drawn(4, 700, 700))
        .toColourspace('cmyk')
        .jpeg()
        .toBuffer(),
    },
    {
      name: 'moving.webp',
      mimeType: 'image/webp',
      buffer: await sharp(frames, { join: { animated: true } })
        .webp({ loop: 0, delay: [100, 100, 100] })
        .toBuffer(),
    },
    { name: 'letter.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('Dear friend, this is no picture at all.\n') },
    { name: 'empty.jpg', mimeType: 'image/jpeg', buffer: Buffer.alloc(0) },
  ];
}
