// Four terms, those of vector STEP, of a tile whose weights lie along the output's columns.
#for q 0 4
#for c 0 COLUMNS/4
      let w$(q)_$c = tile_w[(4u * $STEP + $(q)u) * W_STRIDE + tx + $(c * (TILE_N / COLUMNS))u];
#endfor
#endfor
#for i 0 ROWS
      let t$i = tile_dy[(ty + $(i * (TILE_M / ROWS))u) * DY_STRIDE + $STEP];
#for c 0 COLUMNS/4
      acc$(i)_$c += t$i.x * w0_$c + t$i.y * w1_$c + t$i.z * w2_$c + t$i.w * w3_$c;
#endfor
#endfor
