import type { Defines } from '../wgsl.ts';
import { columnSum } from './column_sum.ts';
import type { KernelCall, KernelFamily, KernelTarget } from './kernel.ts';
import { vectorWidth } from './lanes.ts';

/** Where a head's columns lie in a row-major matrix of tokens: elements from row to row, and the first head's first column. */
export interface Columns {
  stride: number;
  offset: number;
}

/**
 * Attention of `heads` query heads over `kvHeads` key and value heads of `headDim` elements (at most 256); query head h reads
 * key head floor(h · kvHeads / heads). Head h lies at columns offset + h · headDim. q, k and v may be columns of one buffer.
 */
export interface AttentionShape {
  queries: number;
  keys: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** of the scores before the softmax, usually headDim^-0.5 */
  scale: number;
  q: Columns;
  k: Columns;
  v: Columns;
  o: Columns;
  /** Share of all query-key pairs that are seen, for the count of operations alone: 0.5 for causal; default 1. */
  density?: number;
}

/** Forward with a bias for each distance of key and query, up to `span` both ways; what is further has that of ±span. */
export interface RelativeShape extends AttentionShape {
  span?: number;
}

/** Columns of the gradients; dq, dk and dv may be columns of one buffer. */
export interface AttentionBackwardShape extends AttentionShape {
  dO: Columns;
  dq: Columns;
  dk: Columns;
  dv: Columns;
}

/** So many queries and fewer go through the kernel for generation. */
const MOST_DECODED = 8;

/** f32 values of the scratch buffer `stats` that attentionBackward needs. */
export function attentionStats(shape: AttentionShape): number {
  return 2 * shape.heads * shape.queries;
}

/** Workgroups that keep a card busy, and the fewest queries that one of them is given. */
const BUSY = { workgroups: 512, queries: 128 };

/**
 * Parts that the dkv kernel's queries are shared out over. Cross attention has few keys, and a workgroup for 64 of them walks
 * all queries: a card would stand idle. Only where dk | dv are a matrix of their own, so that parts are summed as they lie.
 */
function querySplits(target: KernelTarget, shape: AttentionBackwardShape): number {
  const width = shape.kvHeads * shape.headDim;
  const { dk, dv } = shape;
  const alone = dk.stride === 2 * width && dv.stride === dk.stride && dk.offset === 0 && dv.offset === width;
  if (target.family !== 'gpu' || !alone) return 1;
  const workgroups = Math.ceil(shape.keys / 64) * shape.kvHeads;
  return Math.max(1, Math.min(Math.floor(BUSY.workgroups / workgroups), Math.ceil(shape.queries / BUSY.queries)));
}

/** f32 values of the scratch buffer `parts` that attentionBackward needs for dk and dv; 0 for none. */
export function attentionParts(target: KernelTarget, shape: AttentionBackwardShape): number {
  const splits = querySplits(target, shape);
  return splits === 1 ? 0 : splits * shape.keys * shape.dk.stride;
}

function check(shape: AttentionShape): void {
  if (shape.heads % shape.kvHeads !== 0)
    throw new Error(`${shape.heads} heads cannot share ${shape.kvHeads} key heads`);
  if (shape.headDim > 256) throw new Error(`attention takes heads of at most 256 elements, not ${shape.headDim}`);
}

/** Which columns matter to a kernel decides whether it can read vectors of four. */
function elements(headDim: number, columns: readonly Columns[]) {
  const vector = vectorWidth(headDim, ...columns.flatMap(({ stride, offset }) => [stride, offset]));
  return { HEAD_DIM: headDim, VECTOR: vector, ELEMENT: vector === 4 ? 'vec4<f32>' : 'f32' };
}

/**
 * The family's way to share the work: the shader's ending, its defines, and the rows of a workgroup.
 * @param twoRows a lane takes two rows up to heads of so many chunks of four, where it does not exchange rows
 */
function tiling(
  target: KernelTarget,
  headDim: number,
  twoRows: number,
): { ending: KernelFamily; defines: Defines; rows: number } {
  // The tiles of graphics cards: shaders/attention_tiles.wgsl.
  if (target.family === 'gpu') return { ending: 'gpu', defines: { BLOCKS: Math.ceil(headDim / 64) }, rows: 64 };
  const chunks = Math.ceil(headDim / 4);
  const quad = target.subgroups && target.subgroupSize === 4;
  // Large heads loop over their chunks: unrolled, they compile for minutes.
  const loops = chunks > 16;
  // Two rows a lane halve the loads, and double what is compiled and held.
  const rows = !quad && chunks <= twoRows ? 2 : 1;
  return {
    ending: 'cpu',
    defines: {
      WG: target.subgroupSize,
      SUBGROUPS: target.subgroups,
      QUAD: quad,
      ROWS: rows,
      // Very large heads lie in memory: more rows of the other side share each load of them.
      BLOCK: quad || chunks > 32 ? 4 : 2,
      CHUNKS: chunks,
      LOOP: loops,
      STEP: loops ? [4, 3, 2, 1].find((step) => chunks % step === 0)! : chunks,
    },
    rows: rows * target.subgroupSize,
  };
}

/** Chunks up to which a lane takes two rows. The dkv kernel holds four vectors a chunk, the others two or three. */
const TWO_ROWS = { forward: 16, dq: 16, dkv: 10 };

/** Matrix products of one head's rows: 2 · headDim operations a pair of query and key. */
const product = (shape: AttentionShape): number =>
  2 * shape.queries * shape.keys * shape.heads * shape.headDim * (shape.density ?? 1);

const rowBytes = (shape: AttentionShape) => ({
  query: 4 * shape.queries * shape.heads * shape.headDim,
  key: 4 * shape.keys * shape.kvHeads * shape.headDim,
});

/**
 * o = softmax(scale · q kᵀ) v, where query t sees the keys keyRanges[t, 0] … keyRanges[t, 1] − 1. keyRanges u32 [queries, 2];
 * an empty range gives o = 0. lse [heads, queries] is the scores' log-sum-exp, and 1e30 for an empty range. A bias f32
 * [heads, 2 span + 1] is added to the scaled scores: column clamp(key - query, ±span) + span.
 */
export function attention<T>(
  target: KernelTarget,
  shape: RelativeShape,
  buffers: { q: T; k: T; v: T; keyRanges: T; o: T; lse?: T; bias?: T },
): KernelCall<T>[] {
  check(shape);
  const { q, k, v, o, lse, bias, keyRanges } = buffers;
  const { ending, defines, rows } = tiling(target, shape.headDim, TWO_ROWS.forward);
  const chunks = Math.ceil(shape.headDim / 4);
  // Few queries leave a tile empty; a workgroup each keeps more of a card busy.
  const decodes = ending === 'gpu' && shape.queries <= MOST_DECODED;
  const decoding = { WG: 128, REDUCE: 'workgroup', CHUNKS: chunks, SPAN: 2 ** Math.ceil(Math.log2(chunks)) };
  const bytes = rowBytes(shape);
  return [
    {
      shader: decodes ? 'attention_decode_gpu' : `attention_forward_${ending}`,
      defines: {
        ...elements(shape.headDim, [shape.q, shape.k, shape.v, shape.o]),
        ...(decodes ? decoding : defines),
        SOURCES: 3,
        LSE: lse !== undefined,
        BIAS: bias !== undefined,
      },
      params: {
        queries: shape.queries,
        keys: shape.keys,
        group: shape.heads / shape.kvHeads,
        scale: shape.scale,
        q_stride: shape.q.stride,
        q_offset: shape.q.offset,
        k_stride: shape.k.stride,
        k_offset: shape.k.offset,
        v_stride: shape.v.stride,
        v_offset: shape.v.offset,
        o_stride: shape.o.stride,
        o_offset: shape.o.offset,
        span: shape.span ?? 0,
      },
      buffers: {
        ...{ q, k, v, key_ranges: keyRanges, o },
        ...(lse !== undefined && { lse }),
        ...(bias !== undefined && { bias }),
      },
      grid: [decodes ? shape.queries : Math.ceil(shape.queries / rows), shape.heads, 1],
      flops: 2 * product(shape),
      bytes: 2 * bytes.query + 2 * bytes.key,
    },
  ];
}

/**
 * dq, dk and dv from dO, with the forward's o and lse; only dq, or only dk and dv (with queryRanges), where only those are
 * given. queryRanges u32 [keys, 2]: key t is seen by the queries
 * queryRanges[t, 0] … queryRanges[t, 1] − 1, and it must be just those (rows with an empty key range may lie among them):
 * causal, windowed and packed segments all have such intervals. `stats` is scratch of attentionStats(shape) f32,
 * `parts` of attentionParts(target, shape) where that is not 0 and dk and dv lie in one buffer.
 */
export function attentionBackward<T>(
  target: KernelTarget,
  shape: AttentionBackwardShape,
  buffers: {
    q: T;
    k: T;
    v: T;
    o: T;
    dO: T;
    lse: T;
    keyRanges: T;
    stats: T;
    dq?: T;
    queryRanges?: T;
    dk?: T;
    dv?: T;
    parts?: T | undefined;
  },
): KernelCall<T>[] {
  check(shape);
  const { q, k, v, o, dO, lse, keyRanges, queryRanges, stats, dq, dk, dv, parts } = buffers;
  const { queries, keys, heads, kvHeads } = shape;
  const bytes = rowBytes(shape);
  const params = {
    queries,
    keys,
    group: heads / kvHeads,
    scale: shape.scale,
    q_stride: shape.q.stride,
    q_offset: shape.q.offset,
    k_stride: shape.k.stride,
    k_offset: shape.k.offset,
    v_stride: shape.v.stride,
    v_offset: shape.v.offset,
    d_stride: shape.dO.stride,
    d_offset: shape.dO.offset,
  };
  const calls: KernelCall<T>[] = [
    {
      shader: 'attention_delta',
      defines: { ...elements(shape.headDim, [shape.o, shape.dO]), WG: 32 },
      params: {
        queries,
        o_stride: shape.o.stride,
        o_offset: shape.o.offset,
        d_stride: shape.dO.stride,
        d_offset: shape.dO.offset,
      },
      buffers: { o, d_o: dO, lse, stats },
      grid: [Math.ceil(queries / 32), heads, 1],
      flops: 2 * queries * heads * shape.headDim,
      bytes: 2 * bytes.query,
    },
  ];
  if (dq !== undefined) {
    const { ending, defines, rows } = tiling(target, shape.headDim, TWO_ROWS.dq);
    calls.push({
      shader: `attention_dq_${ending}`,
      defines: { ...elements(shape.headDim, [shape.q, shape.k, shape.v, shape.dO, shape.dq]), ...defines, SOURCES: 4 },
      params: { ...params, dq_stride: shape.dq.stride, dq_offset: shape.dq.offset },
      buffers: { q, k, v, d_o: dO, stats, key_ranges: keyRanges, dq },
      grid: [Math.ceil(queries / rows), heads, 1],
      flops: 3 * product(shape),
      bytes: 3 * bytes.query + 2 * bytes.key,
    });
  }
  if (dk !== undefined && dv !== undefined && queryRanges !== undefined) {
    const { ending, defines, rows } = tiling(target, shape.headDim, TWO_ROWS.dkv);
    const splits = dk === dv && parts !== undefined ? querySplits(target, shape) : 1;
    const written = splits > 1 ? parts! : dk;
    calls.push({
      shader: `attention_dkv_${ending}`,
      defines: {
        ...elements(shape.headDim, [shape.q, shape.k, shape.v, shape.dO, shape.dk, shape.dv]),
        ...defines,
        SOURCES: 4,
        SHARED: dk === dv,
      },
      params: {
        ...params,
        dk_stride: shape.dk.stride,
        dk_offset: shape.dk.offset,
        dv_stride: shape.dv.stride,
        dv_offset: shape.dv.offset,
        splits,
      },
      buffers: { q, k, v, d_o: dO, stats, query_ranges: queryRanges, dk: written, ...(dk === dv ? {} : { dv }) },
      grid: [Math.ceil(keys / rows), kvHeads, splits],
      flops: 4 * product(shape),
      bytes: 2 * bytes.query + (2 + 2 * splits) * bytes.key,
    });
    if (splits > 1) {
      calls.push(columnSum({ groups: 1, groupRows: splits, columns: keys * shape.dk.stride }, { x: written, y: dk }));
    }
  }
  return calls;
}
