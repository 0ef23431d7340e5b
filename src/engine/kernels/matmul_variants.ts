import type { Defines } from '../wgsl.ts';
import { choiceKey } from './choices.ts';
import type { KernelTarget } from './kernel.ts';
import type { WeightType } from '../weight-formats.ts';

export type MatmulOp = 'linear' | 'linearBackward' | 'loraDown' | 'loraUpBackward' | 'outer';

/** M rows, N columns of the output, K terms of each sum. The three LoRA products have the rank for M. */
export interface MatmulShape {
  m: number;
  n: number;
  k: number;
  weightType: WeightType;
}

/** One way to run an op: a shader, its defines, and the piece of the output that one workgroup computes. */
export interface Variant {
  name: string;
  shader: string;
  defines: Defines;
  rows: number;
  columns: number;
}

/** The most rows that the forms for generation take. */
export const VECTOR_ROWS = 4;

/**
 * Software adapters: one subgroup a workgroup, four columns a lane, so that loads, which cost dozens of multiply-adds each,
 * are shared by as many of these as the compiler takes in reasonable time.
 */
export function cpuVariant(op: MatmulOp, rows: number, target: KernelTarget): Variant {
  const lanes = target.subgroups ? target.subgroupSize : 4;
  const shader =
    op === 'linear' ? 'matmul_linear_cpu' : op === 'linearBackward' ? 'matmul_backward_cpu' : 'matmul_skinny_cpu';
  const defines: Defines = {
    ROWS: rows,
    LANES: lanes,
    LOADS: target.subgroups ? Math.ceil(rows / lanes) : rows,
    BROADCAST: target.subgroups,
    COLUMNS: 4 * lanes,
    Y4: true,
  };
  return { name: `rows${rows}`, shader, defines, rows, columns: 4 * lanes };
}

/** Tokens from which steps take long enough for slower compiling to be won back. */
export const LONG_STEP = 512;

function cpuCandidates(op: MatmulOp, { m, n, k }: MatmulShape, target: KernelTarget): Variant[] {
  const skinny = op !== 'linear' && op !== 'linearBackward';
  // Odd shapes take a slow path whose code grows with the rows.
  const odd = n % 4 !== 0 || k % 4 !== 0;
  const padded = (rows: number): number => Math.ceil(m / rows) * rows;
  const tall = skinny
    ? [8, 16]
    : m <= VECTOR_ROWS || odd
      ? [4]
      : m <= 8
        ? [8]
        : // 32 rows run a quarter faster than 16 and compile twice as long: worth it where a step is long. A last tile half
          // empty would eat that up.
          m >= LONG_STEP && padded(32) <= 1.15 * padded(16)
          ? [32, 16, 8]
          : [16, 32, 8];
  return tall.map((rows) => cpuVariant(op, rows, target));
}

interface Tile {
  m: number;
  n: number;
  k: number;
  /** outputs of one invocation */
  rows: number;
  columns: number;
}

/** From the most work per byte to the most workgroups. */
const TILES: readonly Tile[] = [
  { m: 128, n: 128, k: 16, rows: 8, columns: 8 },
  { m: 128, n: 64, k: 16, rows: 8, columns: 4 },
  { m: 64, n: 64, k: 32, rows: 4, columns: 4 },
  { m: 64, n: 64, k: 16, rows: 4, columns: 4 },
  { m: 32, n: 64, k: 16, rows: 4, columns: 4 },
  { m: 32, n: 32, k: 16, rows: 2, columns: 4 },
  { m: 16, n: 32, k: 32, rows: 2, columns: 4 },
];

/** Bytes of workgroup memory: both operands' tiles with their padding. */
function tileBytes(op: MatmulOp, { m, n, k }: Tile): number {
  return 16 * (m * (k / 4 + 1) + (op === 'linear' ? n * (k / 4 + 1) : k * (n / 4 + 1)));
}

function tileVariant(op: MatmulOp, tile: Tile): Variant {
  const { m, n, k, rows, columns } = tile;
  return {
    name: `tile${m}x${n}x${k}`,
    shader: op === 'linear' ? 'matmul_linear_gpu' : 'matmul_backward_gpu',
    defines: { TILE_M: m, TILE_N: n, TILE_K: k, ROWS: rows, COLUMNS: columns, Y4: false },
    rows: m,
    columns: n,
  };
}

/**
 * Workgroups that keep a mid-range card busy (some thirty multiprocessors with four workgroups each). A larger tile is used
 * only where it leaves as many.
 */
const ENOUGH_WORKGROUPS = 120;

export function gpuCandidates(op: MatmulOp, { m, n }: MatmulShape, target: KernelTarget): Variant[] {
  if (op !== 'linear' && op !== 'linearBackward') return [skinnyVariant(op)];
  const fitting = TILES.filter(
    (tile) =>
      tileBytes(op, tile) <= target.maxWorkgroupStorage &&
      (tile.m / tile.rows) * (tile.n / tile.columns) <= target.maxInvocations,
  );
  const workgroups = (tile: Tile): number => Math.ceil(m / tile.m) * Math.ceil(n / tile.n);
  const first = fitting.find((tile) => workgroups(tile) >= ENOUGH_WORKGROUPS) ?? fitting.at(-1)!;
  const tiles = [first, ...fitting.filter((tile) => tile !== first)].map((tile) => tileVariant(op, tile));
  if (op === 'linearBackward' || m > VECTOR_ROWS) return tiles;
  const vector: Variant = {
    name: 'vector',
    shader: 'matmul_vector_gpu',
    defines: { ROWS: VECTOR_ROWS, Y4: false },
    rows: VECTOR_ROWS,
    columns: 8,
  };
  return [vector, ...tiles];
}

/** x and dy are read along their terms by loraDown and loraUpBackward, along their columns by outer. */
function skinnyVariant(op: MatmulOp): Variant {
  const along = op === 'outer' ? 'columns' : 'terms';
  const columns = along === 'terms' ? 8 : 32;
  return {
    name: `along_${along}`,
    shader: 'matmul_skinny_gpu',
    defines: { ROWS: 8, COLUMNS: columns, SPLITS: 256 / columns, TERMS: 256, ALONG: along },
    rows: 8,
    columns,
  };
}

/** Ways to run an op: first the one that measuring chose, or else the likeliest; a tuner may time the others. */
export function candidates(op: MatmulOp, shape: MatmulShape, target: KernelTarget): Variant[] {
  const ways = target.family === 'cpu' ? cpuCandidates(op, shape, target) : gpuCandidates(op, shape, target);
  const { choices } = target;
  if (!choices) return ways;
  const key = choiceKey(op, shape);
  choices.wanted.set(key, { op, shape });
  const chosen = ways.find(({ name }) => name === choices.chosen.get(key));
  return chosen ? [chosen, ...ways.filter((way) => way !== chosen)] : ways;
}
