// The tile's results, a vector a row, for loops over the rows.
  let sums = array<vec4f, $ROWS>(
#for i 0 ROWS
    vec4f(acc$(i)_0, acc$(i)_1, acc$(i)_2, acc$(i)_3),
#endfor
  );
