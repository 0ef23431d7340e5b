// One step of the tile: row i's four terms, from the lane that loaded them, times the four columns' terms v0 … v3.
// In a subgroup of four a lane gets row i ^ lane (of each four): exchanging within a quad costs much less there than broadcasting.
#for i 0 ROWS
#if !BROADCAST
    let t$i = l$i;
#elif LANES != 4
    let t$i = subgroupBroadcast(l$(i / LANES), $(i % LANES)u);
#elif i % 4 == 0
    let t$i = l$(i / 4);
#elif i % 4 == 1
    let t$i = quadSwapX(l$(i / 4));
#elif i % 4 == 2
    let t$i = quadSwapY(l$(i / 4));
#else
    let t$i = quadSwapDiagonal(l$(i / 4));
#endif
#for c 0 4
    acc$(i)_$c += dot(t$i, v$c);
#endfor
#endfor
