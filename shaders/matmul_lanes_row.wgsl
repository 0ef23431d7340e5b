// Which row a lane has in its i-th accumulator: where lanes exchange rows, not the i-th (matmul_multiply).
#if BROADCAST && LANES == 4
    let at_row = row + (i ^ lane) % 4u + (i & ~3u);
#else
    let at_row = row + i;
#endif
