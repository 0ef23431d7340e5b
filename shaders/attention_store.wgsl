// Writes chunk c, four elements, of the head that begins at element i of BUFFER.
#if VECTOR == 4
fn $NAME(i: u32, c: u32, value: vec4<f32>) { $BUFFER[i / 4u + c] = value; }
#else
fn $NAME(i: u32, c: u32, value: vec4<f32>) {
  for (var e = 0u; e < 4u; e++) {
    if (4u * c + e < $(HEAD_DIM)u) { $BUFFER[i + 4u * c + e] = value[e]; }
  }
}
#endif
