// The tile's accumulators: ROWS rows of four columns.
#for i 0 ROWS
#for c 0 4
  var acc$(i)_$c = 0.0;
#endfor
#endfor
