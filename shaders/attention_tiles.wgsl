// Attention for graphics cards: 256 invocations hold 64 rows of one head, and step over the other side in tiles of 32.
// Invocation (x, y) = (index % 16, index / 16) owns rows 4y … 4y+3; of a tile of scores the columns x and x + 16, of the
// results the columns 4x … 4x+3 of every block of 64. 16 KiB of workgroup memory whatever the head size: what enters a
// product is staged 16 elements at a time (docs/kernels-attention.md has the reasoning).
#include attention_constants
const ROWS = 64u;
const COLUMNS = 32u;
// Staged rows are 5 vectors apart, so that 8 neighbouring ones lie in different banks.
const PITCH = 5u;

var<workgroup> stage: array<vec4<f32>, 480>;
// The tile's probabilities or their gradients, four rows a vector; see tile_at.
var<workgroup> tile: array<vec4<f32>, 512>;
var<workgroup> bounds: array<atomic<u32>, 2>;

// Rows first … limit − 1 of one head in one of the matrices.
struct Side { first: u32, limit: u32, stride: u32, offset: u32 }

alias Results = array<vec4<f32>, $(4 * BLOCKS)>;

// Four elements of a row of one of the matrices 0 (q), 1 (k), 2 (v), 3 (dO): a function for each, so that none chooses at run time.
#for m 0 $SOURCES
fn side_$m(side: Side, row: u32, c: u32) -> vec4<f32> {
  let at = min(row, side.limit - 1u) * side.stride + side.offset + 4u * c;
  let inside = vec4<bool>(row < side.limit) & (vec4<u32>(0u, 1u, 2u, 3u) + 4u * c < vec4<u32>($(HEAD_DIM)u));
  return select(vec4<f32>(), fetch_$m(at), inside);
}
#endfor

// Dot products of this invocation's four rows with its two columns; only the pairs of matrices that are used get compiled.
struct Scores { x: vec4<f32>, y: vec4<f32> }

#for m 0 $SOURCES
#for n 0 $SOURCES
fn product_$(m)_$n(rows: Side, columns: Side, index: u32) -> Scores {
  let x = index % 16u;
  let y = index / 16u;
  var scores = Scores(vec4<f32>(), vec4<f32>());
  for (var chunk = 0u; chunk < $((HEAD_DIM + 15) / 16)u; chunk++) {
    workgroupBarrier();
    for (var i = index; i < 384u; i += 256u) {
      let row = i / 4u;
      let c = chunk * 4u + i % 4u;
      if (row < ROWS) {
        stage[row * PITCH + i % 4u] = side_$m(rows, rows.first + row, c);
      } else {
        stage[row * PITCH + i % 4u] = side_$n(columns, columns.first + row - ROWS, c);
      }
    }
    workgroupBarrier();
    for (var c = 0u; c < 4u; c++) {
      let k0 = stage[(ROWS + x) * PITCH + c];
      let k1 = stage[(ROWS + x + 16u) * PITCH + c];
      let q0 = stage[(4u * y) * PITCH + c];
      let q1 = stage[(4u * y + 1u) * PITCH + c];
      let q2 = stage[(4u * y + 2u) * PITCH + c];
      let q3 = stage[(4u * y + 3u) * PITCH + c];
      scores.x += vec4<f32>(dot(q0, k0), dot(q1, k0), dot(q2, k0), dot(q3, k0));
      scores.y += vec4<f32>(dot(q0, k1), dot(q1, k1), dot(q2, k1), dot(q3, k1));
    }
  }
  return scores;
}
#endfor
#endfor

// Rows 4y … 4y+3 of a column. Written whole, since writing one component may touch the others; turned about so that the
// invocations that write neighbouring columns meet different banks.
fn tile_at(column: u32, y: u32) -> u32 {
  return column * 16u + (y ^ (column & 15u));
}

fn put_tile(scores: Scores, index: u32) {
  let x = index % 16u;
  let y = index / 16u;
  tile[tile_at(x, y)] = scores.x;
  tile[tile_at(x + 16u, y)] = scores.y;
}

// results += tile · side. The first barrier inside also makes the tile whole.
#for m 0 $SOURCES
fn accumulate_$m(results: ptr<function, Results>, side: Side, index: u32) {
  let x = index % 16u;
  let y = index / 16u;
#for b 0 $BLOCKS
  for (var half_tile = 0u; half_tile < 2u; half_tile++) {
    workgroupBarrier();
    stage[index] = side_$m(side, side.first + 16u * half_tile + y, $(16 * b)u + x);
    workgroupBarrier();
    for (var j = 0u; j < 16u; j++) {
      let weights = tile[tile_at(16u * half_tile + j, y)];
      let vector = stage[16u * j + x];
#for i 0 4
      (*results)[$(4 * b + i)] += weights[$i] * vector;
#endfor
    }
  }
#endfor
}
#endfor

// From the smallest begin to the largest end of the ranges that are not empty.
fn widest(range: vec2<u32>, index: u32, limit: u32) -> vec2<u32> {
  if (index == 0u) {
    atomicStore(&bounds[0], 0xffffffffu);
    atomicStore(&bounds[1], 0u);
  }
  workgroupBarrier();
  if (range.x < range.y) {
    atomicMin(&bounds[0], range.x);
    atomicMax(&bounds[1], min(range.y, limit));
  }
  workgroupBarrier();
  return vec2<u32>(atomicLoad(&bounds[0]), atomicLoad(&bounds[1]));
}
