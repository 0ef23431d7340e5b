// Finds the part that tile number `part` belongs to, and the tile within it; tiles are ROWS ranks by COLUMNS columns.
  var rank = p.rank0;
  var columns = p.columns0;
  var terms = p.terms0;
  var u_start = p.u_start0;
  var u_step = p.u_step0;
  var v_start = p.v_start0;
  var start = p.out0;
  var out_column = p.out_column0;
  var scale = p.scale0;
  var wide = (columns + $(COLUMNS - 1)u) / $(COLUMNS)u;
  var before = wide * ((rank + $(ROWS - 1)u) / $(ROWS)u);
#for s 1 4
  if (part >= before) {
    part -= before;
    rank = p.rank$s;
    columns = p.columns$s;
    terms = p.terms$s;
    u_start = p.u_start$s;
    u_step = p.u_step$s;
    v_start = p.v_start$s;
    start = p.out$s;
    out_column = p.out_column$s;
    scale = p.scale$s;
    wide = (columns + $(COLUMNS - 1)u) / $(COLUMNS)u;
    before = wide * ((rank + $(ROWS - 1)u) / $(ROWS)u);
  }
#endfor
