#if SUBGROUPS
enable subgroups;
// The bounds of the loop are the same in all lanes: minimum and maximum over the subgroup.
diagnostic(off, subgroup_uniformity);
#endif
// Attention for software adapters: one head and ROWS · WG queries (dkv: keys) a workgroup, ROWS a lane with all their head
// dimensions in registers. The other side comes in blocks of BLOCK rows. In a subgroup of four (QUAD) each lane loads one row
// of the block and they exchange them: a lane meets them in the order lane, lane ^ 1, lane ^ 2, lane ^ 3, which changes
// nothing but the order of the sum. Elsewhere all lanes load the same row, one scalar load and a broadcast.
// CHUNKS = ceil(head_dim / 4). Scores are in powers of two.
#if QUAD
fn exchange_0(v: vec4<f32>) -> vec4<f32> { return v; }
fn exchange_1(v: vec4<f32>) -> vec4<f32> { return quadSwapX(v); }
fn exchange_2(v: vec4<f32>) -> vec4<f32> { return quadSwapY(v); }
fn exchange_3(v: vec4<f32>) -> vec4<f32> { return quadSwapDiagonal(v); }
#endif
alias Ranges = array<vec2<u32>>;
#include attention_constants
#include attention_tail
