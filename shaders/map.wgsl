// y = an elementwise expression over operands of the same size, of one row (repeated down the rows), of one row for each
// group of rows, or of one number.
struct Params { count: u32, columns: u32$FIELDS }
#params
#if STRENGTH
#step
#endif
alias V = $V;
#if ERF
#include erf
#endif
#if EXPM1
#include expm1
#endif
#for i 0 OPERANDS
#buffer b$i: array<$(T$i)>, read
#endfor
#buffer y: array<V>, read_write

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * 64u + lane;
  if (i >= p.count) { return; }
#if ROWS
  let c = i % p.columns;
#endif
#for i 0 OPERANDS
  let x$i = $(LOAD$i);
#endfor
  y[i] = $EXPRESSION;
}
