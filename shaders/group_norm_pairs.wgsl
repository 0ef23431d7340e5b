// Mean and rstd of the V channels' groups.
fn stats_of(image: u32, column: u32) -> Pair {
#if VECTOR == 4
#for j 0 4
  let stat$j = stats[group_at(image, 4u * column + $(j)u)];
#endfor
  return Pair(vec4<f32>(stat0.x, stat1.x, stat2.x, stat3.x), vec4<f32>(stat0.y, stat1.y, stat2.y, stat3.y));
#else
  let stat = stats[group_at(image, column)];
  return Pair(stat.x, stat.y);
#endif
}
