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
 * Ways to run a convolution, the likeliest first. The shape is that of its product: m pixels of the result (backward: of one
 * phase), n of its channels, k terms.
 */
export function conv2dCandidates(op: Conv2dOp, shape: MatmulShape, target: KernelTarget): Variant[] {
  if (target.family === 'cpu') return cpuCandidates(op, shape, target);
  // More rows than the form for generation takes: that one has no taps.
  const tiles = gpuCandidates(
    op === 'conv2d' ? 'linear' : 'linearBackward',
    { ...shape, m: Math.max(shape.m, VECTOR_ROWS + 1) },
    target,
  );
  return tiles.map((tile) => tileVariant(op, tile));
}
