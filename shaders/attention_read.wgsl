// Chunk c, four elements, of the head that begins at element i of BUFFER.
#if VECTOR == 4
fn $(NAME)_at(i: u32, c: u32) -> vec4<f32> { return $BUFFER[i / 4u + c]; }
#else
fn $(NAME)_at(i: u32, c: u32) -> vec4<f32> {
  let at = i + 4u * c;
  return tail(c, vec4<f32>($BUFFER[at], $BUFFER[at + 1u], $BUFFER[at + 2u], $BUFFER[at + 3u]));
}
#endif
