// Key j of the block, as this lane meets it.
#if QUAD
    let seen$j = key + ($(j)u ^ lane);
#else
    let seen$j = key + $(j)u;
    let row$j = min(seen$j, last);
    let k_row$j = row$j * k_stride + k_base;
    let v_row$j = row$j * v_stride + v_base;
#endif
