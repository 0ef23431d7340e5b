// Opens the loop over blocks of keys; with QUAD a lane loads one key and one value of the block.
  let k_base = p.k_offset + head / p.group * $(HEAD_DIM)u;
  let v_base = p.v_offset + head / p.group * $(HEAD_DIM)u;
  // Out of the loop: a uniform is a load as well.
  let last = p.keys - 1u;
  let k_stride = p.k_stride;
  let v_stride = p.v_stride;
  for (var key = begin; key < end; key += $(BLOCK)u) {
#if QUAD
    let mine = min(key + lane, last);
    let k_mine = mine * k_stride + k_base;
    let v_mine = mine * v_stride + v_base;
#endif
