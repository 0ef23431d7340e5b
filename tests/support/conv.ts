import type { Conv2dGeometry } from '../../src/engine/kernels/conv2d_geometry.ts';
import type { Random } from './matmul.ts';

export interface Conv extends Conv2dGeometry {
  channels: number;
  outChannels: number;
}

type Numbers = ArrayLike<number>;

/** Counted anew here: height and width of the result as torch documents them. */
export function outputOf(conv: Conv2dGeometry): {
  height: number;
  width: number;
} {
  const { height, width, kernel, stride, dilation = 1, padding } = conv;
  const [top, left, bottom, right] = padding;
  return {
    height: Math.floor((height + top + bottom - dilation * (kernel[0] - 1) - 1) / stride + 1),
    width: Math.floor((width + left + right - dilation * (kernel[1] - 1) - 1) / stride + 1),
  };
}

/** Calls `visit` for every pair of an output pixel and a pixel of x under a tap of its kernel, all as rows of matrices. */
export function eachTap(
  conv: Conv2dGeometry,
  visit: (out: number, pixel: number, tap: number, image: number) => void,
): void {
  const out = outputOf(conv);
  const { dilation = 1 } = conv;
  const [kernelHeight, kernelWidth] = conv.kernel;
  for (let image = 0; image < conv.images; image++) {
    for (let oy = 0; oy < out.height; oy++) {
      for (let ox = 0; ox < out.width; ox++) {
        for (let ky = 0; ky < kernelHeight; ky++) {
          for (let kx = 0; kx < kernelWidth; kx++) {
            const y = oy * conv.stride - conv.padding[0] + ky * dilation;
            const x = ox * conv.stride - conv.padding[1] + kx * dilation;
            if (y < 0 || y >= conv.height || x < 0 || x >= conv.width) continue;
            visit(
              (image * out.height + oy) * out.width + ox,
              (image * conv.height + y) * conv.width + x,
              ky * kernelWidth + kx,
              image,
            );
          }
        }
      }
    }
  }
}

export const pixelsOf = (conv: Conv2dGeometry): { x: number; y: number } => {
  const out = outputOf(conv);
  return { x: conv.images * conv.height * conv.width, y: conv.images * out.height * out.width };
};

/** y in float64, without bias. */
export function conv2dReference(conv: Conv, x: Numbers, w: Numbers): Float64Array {
  const { channels: c, outChannels: o, kernel } = conv;
  const taps = kernel[0] * kernel[1];
  const y = new Float64Array(pixelsOf(conv).y * o);
  eachTap(conv, (out, pixel, tap) => {
    for (let n = 0; n < o; n++) {
      let sum = 0;
      for (let i = 0; i < c; i++) sum += x[pixel * c + i]! * w[(n * taps + tap) * c + i]!;
      y[out * o + n]! += sum;
    }
  });
  return y;
}

/** dx in float64: ∂ Σ dy y / ∂x. */
export function conv2dBackwardReference(conv: Conv, dy: Numbers, w: Numbers): Float64Array {
  const { channels: c, outChannels: o, kernel } = conv;
  const taps = kernel[0] * kernel[1];
  const dx = new Float64Array(pixelsOf(conv).x * c);
  eachTap(conv, (out, pixel, tap) => {
    for (let n = 0; n < o; n++) {
      for (let i = 0; i < c; i++) dx[pixel * c + i]! += dy[out * o + n]! * w[(n * taps + tap) * c + i]!;
    }
  });
  return dx;
}

/** A convolution of small random sizes: any kernel, stride and padding for which something of x reaches what comes out. */
export function randomConv(random: Random): Conv {
  for (;;) {
    const conv: Conv = {
      images: random.int(1, 3),
      height: random.int(1, 11),
      width: random.int(1, 11),
      kernel: [random.int(1, 4), random.int(1, 4)],
      stride: random.int(1, 3),
      padding: [random.int(0, 3), random.int(0, 3), random.int(0, 3), random.int(0, 3)],
      channels: random.int(1, 2) === 1 ? random.int(1, 21) : 4 * random.int(1, 9),
      outChannels: random.int(1, 2) === 1 ? random.int(1, 37) : 4 * random.int(1, 12),
    };
    const out = outputOf(conv);
    let touched = false;
    if (out.height >= 1 && out.width >= 1) eachTap(conv, () => (touched = true));
    if (touched) return conv;
  }
}

export const describeConv = (conv: Conv): string =>
  `${conv.images} × ${conv.height} × ${conv.width}, ${conv.channels} → ${conv.outChannels}, ` +
  `kernel ${conv.kernel.join('×')}, stride ${conv.stride}, ` +
  `dilation ${conv.dilation ?? 1}, padding ${conv.padding.join()}`;
