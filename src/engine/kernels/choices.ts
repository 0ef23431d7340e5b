import type { Conv2dShape } from './conv2d_geometry.ts';
import type { Conv2dOp } from './conv2d_variants.ts';
import type { MatmulOp, MatmulShape } from './matmul_variants.ts';

export const choiceKey = (op: MatmulOp, { m, n, k, weightType }: MatmulShape): string =>
  `${op} ${m}x${n}x${k} ${weightType}`;

export const conv2dKey = (op: Conv2dOp, shape: Conv2dShape): string => {
  const { images, height, width, channels, outChannels, kernel, stride, dilation = 1, weightType } = shape;
  const apart = dilation === 1 ? '' : `d${dilation}`;
  return `${op} ${images}x${height}x${width} ${channels}-${outChannels} ${kernel.join('x')}/${stride}${apart} ${weightType}`;
};

/** Which variant a device runs for a shape, by `choiceKey` or `conv2dKey`, and which shapes plans have asked for so far. */
export class KernelChoices {
  readonly chosen: Map<string, string>;
  readonly wanted = new Map<string, { op: MatmulOp; shape: MatmulShape }>();
  readonly wantedConvolutions = new Map<string, { op: Conv2dOp; shape: Conv2dShape }>();

  /** @param kept what an earlier visit measured on the same device: JSON of `toJSON` */
  constructor(kept: Readonly<Record<string, string>> = {}) {
    this.chosen = new Map(Object.entries(kept));
  }

  /** Takes over what was kept, where nothing newer is known. Entries that are not text are passed over. */
  restore(kept: unknown): void {
    if (typeof kept !== 'object' || kept === null) return;
    for (const [key, name] of Object.entries(kept)) {
      if (typeof name === 'string' && !this.chosen.has(key)) this.chosen.set(key, name);
    }
  }

  toJSON(): Record<string, string> {
    return Object.fromEntries(this.chosen);
  }
}
