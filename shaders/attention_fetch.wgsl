// Elements at … at + 3 of BUFFER.
#if VECTOR == 4
fn $NAME(at: u32) -> vec4<f32> { return $BUFFER[at / 4u]; }
#else
fn $NAME(at: u32) -> vec4<f32> { return vec4<f32>($BUFFER[at], $BUFFER[at + 1u], $BUFFER[at + 2u], $BUFFER[at + 3u]); }
#endif
