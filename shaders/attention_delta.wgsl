// stats[head, t] = (log-sum-exp in powers of two, Σ dO · O), all that the backward kernels need of a query's softmax.
const LOG2E = 1.4426950408889634;
struct Params { queries: u32, o_stride: u32, o_offset: u32, d_stride: u32, d_offset: u32 }
#params
#buffer o: array<$ELEMENT>, read
#buffer d_o: array<$ELEMENT>, read
#buffer lse: array<f32>, read
#buffer stats: array<vec2<f32>>, read_write

@compute @workgroup_size($WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
  let t = id.x;
  if (t >= p.queries) { return; }
  let a = t * p.o_stride + p.o_offset + group.y * $(HEAD_DIM)u;
  let b = t * p.d_stride + p.d_offset + group.y * $(HEAD_DIM)u;
  var sum = 0.0;
#if VECTOR == 4
  for (var c = 0u; c < $(HEAD_DIM / 4)u; c++) { sum += dot(o[a / 4u + c], d_o[b / 4u + c]); }
#else
  for (var c = 0u; c < $(HEAD_DIM)u; c++) { sum += o[a + c] * d_o[b + c]; }
#endif
  let at = group.y * p.queries + t;
  stats[at] = vec2<f32>(lse[at] * LOG2E, sum);
}
