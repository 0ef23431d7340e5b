// norm[n] = || W[n] + scale B[n] A ||, one workgroup a row of W, its lanes striding over the input dimension. A is [rank,
// inputs], B [rows, rank].
struct Params { inputs: u32, rank: u32, scale: f32 }
#params
#include stored_weight BUFFER=weight
#buffer a: array<f32>, read
#buffer b: array<f32>, read
#buffer norm: array<f32>, read_write
var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let n = group.x + group.y * 65535u;
  let inside = n < arrayLength(&norm);
  var sum = 0.0;
  if (inside) {
    for (var k = lane; k < p.inputs; k += 64u) {
      let at = n * p.inputs + k;
      var delta = 0.0;
      for (var j = 0u; j < p.rank; j += 1u) { delta += b[n * p.rank + j] * a[j * p.inputs + k]; }
      let w = weight_at(at) + p.scale * delta;
      sum += w * w;
    }
  }
  partial[lane] = sum;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half /= 2u) {
    if (lane < half) { partial[lane] += partial[lane + half]; }
    workgroupBarrier();
  }
  if (lane == 0u && inside) { norm[n] = sqrt(partial[0]); }
}
