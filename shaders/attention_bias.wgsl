// What is added to the score of a query and a key for the distance between them.
#if BIAS
#buffer bias: array<f32>, read
// In powers of two, as the scores.
fn relative(head: u32, query: u32, key: u32) -> f32 {
  return bias[head * u32(2 * p.span + 1) + u32(clamp(i32(key) - i32(query), -p.span, p.span) + p.span)] * LOG2E;
}
#endif
