// The frozen weight $BUFFER as it is stored in the format WEIGHT: $(BUFFER)_at(i) is weight i, or weights 4i … 4i+3 where
// VECTOR is 4. weight_*.wgsl read the formats; where a format has groups, its codes are scaled here.
#if GROUP == 0
#include weight_$WEIGHT READ=at
#else
#include weight_$WEIGHT READ=code
#if OFFSETS
#buffer $(BUFFER)_scales: array<vec2f>, read
#else
#buffer $(BUFFER)_scales: array<f32>, read
#endif
#if VECTOR == 4
fn $(BUFFER)_at(i: u32) -> vec4f {
#else
fn $(BUFFER)_at(i: u32) -> f32 {
#endif
  let scale = $(BUFFER)_scales[i / $(GROUP / VECTOR)u];
#if OFFSETS
  return $(BUFFER)_code(i) * scale.x + scale.y;
#else
  return $(BUFFER)_code(i) * scale;
#endif
}
#endif
