// Writes `sum`, columns `column` … column + 3 of the row of dx, WIDTH columns, that begins at `begin`.
#if VEC
    if (column < $WIDTH) {
      let at = (begin + column) / 4u;
      var value = sum;
      if (has_residual) { value += residual[at]; }
#if ACCUMULATE
      value += dx[at];
#endif
      dx[at] = value;
    }
#else
    for (var q = 0u; q < 4u; q++) {
      if (column + q < $WIDTH) {
        let at = begin + column + q;
        var value = sum[q];
        if (has_residual) { value += residual[at]; }
#if ACCUMULATE
        value += dx[at];
#endif
        dx[at] = value;
      }
    }
#endif
