// f32; see stored_weight.
#if VECTOR == 4
#buffer $BUFFER: array<vec4f>, read
fn $(BUFFER)_$READ(i: u32) -> vec4f { return $BUFFER[i]; }
#else
#buffer $BUFFER: array<f32>, read
fn $(BUFFER)_$READ(i: u32) -> f32 { return $BUFFER[i]; }
#endif
