// y[group, chunk, c] = sum over a chunk of the group's rows of x[t, c] * z[t, c], one invocation each; added to y in an
// accumulated step.
struct Params { columns: u32, chunks: u32, group_rows: u32, chunk_rows: u32, count: u32 }
#params
#if GRADIENT
#step
#endif
#buffer x: array<f32>, read
#if PRODUCT
#buffer z: array<f32>, read
#endif
#buffer y: array<f32>, read_write

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * 64u + lane;
  if (i >= p.count) { return; }
  let chunk = i / p.columns;
  let begin = chunk % p.chunks * p.chunk_rows;
  let end = min(begin + p.chunk_rows, p.group_rows);
  let first = chunk / p.chunks * p.group_rows;
  var at = (first + begin) * p.columns + i % p.columns;
  var sum = 0.0;
  for (var t = begin; t < end; t += 1u) {
#if PRODUCT
    sum += x[at] * z[at];
#else
    sum += x[at];
#endif
    at += p.columns;
  }
#if GRADIENT
  y[i] = select(sum, y[i] + sum, step.accumulate == 1u);
#else
  y[i] = sum;
#endif
}
