// Four terms, those of vector STEP, of a tile whose weights lie along the terms.
#for c 0 COLUMNS
      let w$c = tile_w[(tx + $(c * (TILE_N / COLUMNS))u) * STRIDE + $STEP];
#endfor
#for i 0 ROWS
      let t$i = tile_x[(ty + $(i * (TILE_M / ROWS))u) * STRIDE + $STEP];
#for c 0 COLUMNS
      acc$(i)_$c += dot(t$i, w$c);
#endfor
#endfor
