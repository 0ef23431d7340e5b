// V is one element (VECTOR 1) or four neighbouring ones (VECTOR 4).
#if VECTOR == 4
alias V = vec4<f32>;
fn total(v: V) -> f32 { return dot(v, vec4<f32>(1.0)); }
#else
alias V = f32;
fn total(v: V) -> f32 { return v; }
#endif
