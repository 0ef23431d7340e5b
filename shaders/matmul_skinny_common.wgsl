// out[r,c] = Σ_i u[r,i] · v[c,i], up to four parts: parameters and bindings of both kernel families.
struct Params {
  u_row: u32, v_row: u32, v_step: u32, out_row: u32,
  scaled: u32, adds: u32, tiles: u32,
  rank0: u32, rank1: u32, rank2: u32, rank3: u32,
  columns0: u32, columns1: u32, columns2: u32, columns3: u32,
  terms0: u32, terms1: u32, terms2: u32, terms3: u32,
  u_start0: u32, u_start1: u32, u_start2: u32, u_start3: u32,
  u_step0: u32, u_step1: u32, u_step2: u32, u_step3: u32,
  v_start0: u32, v_start1: u32, v_start2: u32, v_start3: u32,
  out0: u32, out1: u32, out2: u32, out3: u32,
  out_column0: u32, out_column1: u32, out_column2: u32, out_column3: u32,
  scale0: f32, scale1: f32, scale2: f32, scale3: f32,
}
#params
#step
#buffer u: array<f32>, read
#buffer v: array<f32>, read
#buffer out: array<f32>, read_write
