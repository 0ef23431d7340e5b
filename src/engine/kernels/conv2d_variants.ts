import { conv2dKey } from './choices.ts';
import type { Conv2dShape } from './conv2d_geometry.ts';
import { conv2dBackwardProduct, conv2dProduct } from './conv2d_geometry.ts';
import type { KernelTarget } from './kernel.ts';
import type { MatmulShape, Variant } from './matmul_variants.ts';
import { LONG_STEP, VECTOR_ROWS, cpuVariant, gpuCandidates } from './matmul_variants.ts';

export type Conv2dOp = 'conv2d' | 'conv2dBackward';

function cpuCandidates(op: Conv2dOp, { m }: MatmulShape, target: KernelTarget): Variant[] {
  const padded = (rows: number): number => Math.ceil(m / rows) * rows;
  const tall =
    m <= VECTOR_ROWS
      ? [4]
      : m <= 8
        ? [8]
        : m >= LONG_STEP && padded(32) <= 1.15 * padded(16)
          ? [32, 16, 8]
          : [16, 32, 8];
  const shader = op === 'conv2d' ? 'conv2d_cpu' : 'conv2d_backward_cpu';
  return tall.map((rows) => ({ ...cpuVariant(op === 'conv2d' ? 'linear' : 'linearBackward', rows, target), shader }));
}

/** The tiles of matmul, and how many of a tile's lines each invocation loads: whole numbers for all of them. */
function tileVariant(op: Conv2dOp, tile: Variant): Variant {
  const { TILE_M, TILE_N, TILE_K, ROWS, COLUMNS } = tile.defines as Record<string, number>;
  const threads = (TILE_M! / ROWS!) * (TILE_N! / COLUMNS!);
  const lines = threads / (TILE_K! / 4);
  const wLines = threads / (TILE_N! / 4);
  return {
    ...tile,
    shader: op === 'conv2d' ? 'conv2d_gpu' : 'conv2d_backward_gpu',
    defines: {
      ...tile.defines,
      LOAD_LINES: lines,
      LOADS_X: TILE_M! / lines,
      ...(op === 'conv2d' ? { LOADS_W: TILE_N! / lines } : { W_LINES: wLines, LOADS_W: TILE_K! / wLines }),
    },
  };
}

/**
 * Ways to run a convolution: first the one that measuring chose, or else the likeliest. On software adapters the pixels alone
 * decide, so that nothing is measured there: a trial would take seconds.
 */
export function conv2dCandidates(op: Conv2dOp, shape: Conv2dShape, target: KernelTarget): Variant[] {
  const product = op === 'conv2d' ? conv2dProduct(shape) : conv2dBackwardProduct(shape);
  if (target.family === 'cpu') return cpuCandidates(op, product, target);
  // More rows than the form for generation takes: that one has no taps.
  const m = Math.max(product.m, VECTOR_ROWS + 1);
  const tiles = gpuCandidates(op === 'conv2d' ? 'linear' : 'linearBackward', { ...product, m }, target);
  const ways = tiles.map((tile) => tileVariant(op, tile));
  const { choices } = target;
  if (!choices) return ways;
  const key = conv2dKey(op, shape);
  choices.wantedConvolutions.set(key, { op, shape });
  const chosen = ways.find(({ name }) => name === choices.chosen.get(key));
  return chosen ? [chosen, ...ways.filter((way) => way !== chosen)] : ways;
}
